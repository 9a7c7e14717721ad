"""The conditions of an entity, and whether one item could meet those of two entities."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from common.mapping import AttributeCondition, KeyCondition, Templates, When
from common.mapping_parts.fields import Fields, is_number, is_some_text, is_unicode
from common.mapping_parts.key_attributes import ROLES, KeyAttributes


def read_when(fields: Fields, declared: Any, keys: KeyAttributes) -> When | None:
    before = len(fields.problems)
    with fields.within("when"):
        if not fields.is_object("", declared, (), (*ROLES, "attribute")):
            return None
        conditions = {
            role: _read_key_condition(fields, role, declared[role], keys) for role in ROLES if role in declared
        }
        attribute = _read_attribute_condition(fields, declared["attribute"], keys) if "attribute" in declared else None
    if len(fields.problems) > before:
        return None
    return When(**{role: found for role, found in conditions.items() if found}, attribute=attribute)


def _read_key_condition(fields: Fields, role: str, declared: Any, keys: KeyAttributes) -> KeyCondition | None:
    with fields.within(role):
        if role not in keys:
            fields.problem("", f"the table has no {role}; declare it, or leave the condition out")
        kind = keys[role].type if keys.get(role) else ""  # type: ignore[union-attr]
        if not fields.is_object("", declared, (), ("equals", "starts_with")):
            return None
        given = [name for name in ("equals", "starts_with") if name in declared]
        if len(given) != 1:
            fields.problem("", "needs one of equals and starts_with")
            return None
        value = declared[given[0]]
        if kind == "B":
            fields.problem("", "a binary key attribute takes no condition; leave it out")
        elif kind == "N" and (given == ["starts_with"] or not is_number(value)):
            fields.problem("", 'a number key attribute takes a number, such as {"equals": 1}')
        elif not (is_number(value) and kind != "S" and given == ["equals"]) and not is_some_text(value):
            fields.problem(given[0], "must be a string with 1 or more characters")
        else:
            exact = Decimal(value) if is_number(value) else value
            return KeyCondition(**{given[0]: exact})  # type: ignore[arg-type]
        return None


def _read_attribute_condition(fields: Fields, declared: Any, keys: KeyAttributes) -> AttributeCondition | None:
    with fields.within("attribute"):
        if not fields.is_object("", declared, ("path", "equals")) or not {"path", "equals"} <= declared.keys():
            return None
        path = fields.path("path", declared["path"])
        if path and path[0] in [key.attribute for key in keys.values() if key]:
            fields.problem("path", f"{path[0]} is a key attribute; write the condition as partition_key or sort_key")
        value = declared["equals"]
        if not (isinstance(value, str | bool) or is_number(value)):
            fields.problem("equals", "must be a string, a number, true or false")
            return None
        if isinstance(value, str) and not is_unicode(value):
            fields.problem("equals", "is not valid Unicode")
        return AttributeCondition(path, Decimal(value) if is_number(value) else value) if path else None


def declared_condition(when: Any, role: str) -> dict[str, Any] | None:
    condition = when.get(role) if isinstance(when, dict) else None
    return condition if isinstance(condition, dict) else None


def with_templates(when: When, templates: Templates) -> When:
    """The leading literal of a template is the condition of a key attribute without one."""
    conditions = {}
    for role in ROLES:
        condition, template = getattr(when, role), getattr(templates, role)
        if condition == KeyCondition() and template and template.literals[0]:
            condition = KeyCondition(starts_with=template.literals[0])
        conditions[role] = condition
    return When(**conditions, attribute=when.attribute)


def exclude(one: When, two: When) -> bool:
    """Whether no item meets both."""
    if any(_keys_exclude(getattr(one, role), getattr(two, role)) for role in ROLES):
        return True
    a, b = one.attribute, two.attribute
    return (
        a is not None
        and b is not None
        and a.path == b.path
        and (type(a.equals), a.equals) != (type(b.equals), b.equals)
    )


def _keys_exclude(one: KeyCondition, two: KeyCondition) -> bool:
    if one.equals is not None and two.equals is not None:
        return one.equals != two.equals
    if two.equals is not None:
        one, two = two, one
    if two.starts_with is None:
        return False
    if one.equals is not None:
        return not str(one.equals).startswith(two.starts_with)
    if one.starts_with is None:
        return False
    return not (one.starts_with.startswith(two.starts_with) or two.starts_with.startswith(one.starts_with))
