"""The tables that the writer needs: created where absent, checked where they exist, never altered."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from pymysql.connections import Connection

from common.database import SchemaMismatchError
from common.mapping import Entity, Mapping
from common.mysql import catalog, fit, registry, sidecar, value_checks
from common.mysql.catalog import TableFacts
from common.mysql.columns import TEXT_TYPES, ActualColumn
from common.mysql.own_table import OwnTable
from common.mysql.sidecar import CLAIM_HEAD, SIDECAR
from common.mysql.target import KeyColumn, Target, Targets, UniqueKey

# RDS Proxy pins a session at a statement of 16 KB: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
# Its hostnames are <name>.proxy-<id>.<region>.rds.amazonaws.com.
_PROXY, _PROXY_STATEMENT_BYTES = ".proxy-", 15_000
# max_allowed_packet may be 1 GB. A function has less memory, and holds a statement more than once.
_MOST_STATEMENT_BYTES = 16_000_000

# The writer works with these two. The schema step alone needs the third one.
_WRITTEN = (sidecar.TABLE, registry.SOURCES_TABLE)
OWN_TABLES = (*_WRITTEN, registry.ENTITIES_TABLE)


def create_missing(connection: Connection[Any], mapping: Mapping) -> dict[str, str]:
    """Create the targets and Backstream's own tables where absent. An existing table is not changed.

    Answers `{"target": "created" | "fits", "sidecar": "created" | "fits"}`; "created" where any of the targets was.
    Raises SchemaMismatchError naming every reason why an existing table does not fit, before anything is created.
    """
    ddl = {entity.table: target_ddl(entity) for entity in mapping.entities}
    ddl |= {table.name: table.ddl for table in OWN_TABLES}
    facts = catalog.read_tables(connection, list(ddl))
    absent = [name for name in ddl if not facts[name].columns]
    _require_fit(mapping, OWN_TABLES, facts, absent)
    with connection.cursor() as cursor:
        for name in absent:
            cursor.execute(ddl[name])
    inspect(connection, mapping)
    require_true_counts(connection)
    targets = {entity.table for entity in mapping.entities}
    return {
        what: "created" if names & set(absent) else "fits"
        for what, names in (("target", targets), ("sidecar", {SIDECAR}))
    }


def inspect(connection: Connection[Any], mapping: Mapping) -> Targets:
    """The targets as the server has them. Raises SchemaMismatchError, which names every mismatch of a table."""
    names = [entity.table for entity in mapping.entities]
    facts = catalog.read_tables(connection, [*names, *(table.name for table in _WRITTEN)])
    _require_fit(mapping, _WRITTEN, facts, absent=())
    return _targets(connection, mapping, facts)


def describe(connection: Connection[Any], mapping: Mapping) -> Targets:
    """The targets as the server has them, without a check. Raises KeyError where a key column is gone."""
    return _targets(connection, mapping, catalog.read_tables(connection, [e.table for e in mapping.entities]))


def _targets(connection: Connection[Any], mapping: Mapping, facts: dict[str, TableFacts]) -> Targets:
    packet_bytes, version = catalog.read_server(connection)
    row_word = "" if "MariaDB" in version else "ROW"
    return Targets(
        mapping,
        tuple(_target(entity, facts[entity.table], row_word) for entity in mapping.entities),
        levels=_levels(connection, mapping),
        packet_bytes=packet_bytes,
        statement_bytes=_statement_bytes(connection.host, packet_bytes),
    )


def _target(entity: Entity, facts: TableFacts, row_word: str) -> Target:
    columns, keys = facts.columns, facts.unique_keys
    key = tuple(KeyColumn.of(columns[name]) for name in entity.key_names)
    numbered = {name for name, column in columns.items() if column.numbered}
    own = [name for name, parts in keys.items() if {part.column for part in parts} == set(entity.key_names)]
    ordered_by, order = _key_order(entity, facts)
    counted = [name for name, parts in keys.items() if parts[0].column in numbered and len(parts) == 1]
    return Target(
        entity,
        key,
        other_unique_keys=tuple(
            UniqueKey(name, tuple(part.column for part in parts), tuple(part.length for part in parts))
            for name, parts in sorted(keys.items())
            if name not in own + counted
        ),
        own_keys=tuple(own),
        numbered_keys=tuple(counted),
        checks=value_checks.checks(entity, columns),
        limits=value_checks.limits(entity, columns),
        vacant=tuple(
            (column.name, how)
            for column in entity.columns
            if column.name in columns
            and column.name not in entity.key_names
            and (how := _vacancy(columns[column.name]))
        ),
        row_word=row_word,
        native_json=frozenset(name for name, column in columns.items() if column.type == "json"),
        is_plain=columns.keys() <= {column.name for column in entity.columns}
        and own == list(keys) == ["PRIMARY"]
        and all(column.is_exact for column in key)
        and not facts.has_triggers,
        ordered_by=ordered_by,
        order=order,
    )


def _key_order(entity: Entity, facts: TableFacts) -> tuple[str, tuple[int, ...]]:
    """The name of a unique key on the whole key columns alone, and their indexes in its order."""
    whole = {
        name: [part.column for part in parts]
        for name, parts in facts.unique_keys.items()
        if {part.column for part in parts} == set(entity.key_names) and all(part.length is None for part in parts)
    }
    name = "PRIMARY" if "PRIMARY" in whole or not whole else min(whole)
    return name, tuple(map(entity.key_names.index, whole.get(name, entity.key_names)))


def _levels(connection: Connection[Any], mapping: Mapping) -> tuple[int, ...]:
    """The level of each entity: 0, or one more than those that its table refers to."""
    names = [entity.table for entity in mapping.entities]
    if len(names) == 1:
        return (0,)
    references = [(child, parent) for child, parent in catalog.read_references(connection, names) if child != parent]
    levels: dict[str, int] = {}
    left = list(names)
    while left:
        waiting = {child for child, parent in references if parent in left}
        # Tables that refer to each other have no right order.
        following = next((name for name in left if name not in waiting), left[0])
        parents = (levels[parent] for child, parent in references if child == following and parent in levels)
        levels[following] = max(parents, default=-1) + 1
        left.remove(following)
    return tuple(levels[name] for name in names)


def _statement_bytes(host: str, packet_bytes: int) -> int:
    return _PROXY_STATEMENT_BYTES if _PROXY in host else min(packet_bytes // 4, _MOST_STATEMENT_BYTES)


def _require_fit(
    mapping: Mapping, own: Collection[OwnTable], facts: dict[str, TableFacts], absent: Collection[str]
) -> None:
    for entity in mapping.entities:
        if entity.table not in absent and (problems := list(fit.target_mismatches(entity, facts[entity.table]))):
            raise SchemaMismatchError(entity.table, problems)
    for table in own:
        if table.name not in absent and (problems := list(fit.own_mismatches(table, facts[table.name]))):
            raise SchemaMismatchError(table.name, problems)


def require_true_counts(connection: Connection[Any]) -> None:
    """Raises SchemaMismatchError where an unchanged row counts as written: the writer relies on these counts.

    A proxy may set CLIENT_FOUND_ROWS though this client does not.

    Source: https://dev.mysql.com/doc/c-api/8.4/en/mysql-affected-rows.html
    """
    probe = f"{CLAIM_HEAD} ('{secrets.token_hex(8)}', 0, 0, 0, '') ON DUPLICATE KEY UPDATE token = token"
    connection.begin()
    with connection.cursor() as cursor:
        counts = [cursor.execute(probe), cursor.execute(probe)]
    connection.rollback()
    if counts != [1, 0]:
        problem = "an unchanged row counts as written: a proxy or driver sets CLIENT_FOUND_ROWS"
        raise SchemaMismatchError(SIDECAR, [problem])


_VACANT_CHARACTERS = 16


def _vacancy(actual: ActualColumn) -> str:
    """What may fill the column for a moment, so that another row can take its unique value."""
    if actual.nullable:
        return "null"
    is_text = actual.type in TEXT_TYPES and (actual.length or 0) >= _VACANT_CHARACTERS
    return "text" if is_text else ""


def target_ddl(entity: Entity) -> str:
    columns = [f"  `{c.name}` {c.type.mysql.ddl} {'NULL' if c.nullable else 'NOT NULL'}" for c in entity.columns]
    key = ", ".join(f"`{name}`" for name in entity.key_names)
    body = ",\n".join([*columns, f"  PRIMARY KEY ({key})"])
    return f"CREATE TABLE IF NOT EXISTS `{entity.table}` (\n{body}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
