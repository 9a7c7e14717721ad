"""Checks a mapping against a live database: what would stop the pipeline, lose items, or surprise an operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.mapping.findings import Finding, error, ok, warning
from common.mapping import Action, Entity, Mapping
from common.mysql.columns import TEXT_TYPES, ActualColumn
from common.mysql.inspection import ActualTable, ForeignKey, Inspector

_MAKE_FIT = "change the table (backstream mapping ddl prints the statements) or the mapping"
_EVERY_CHARACTER = ("utf8mb4", "utf16", "utf16le", "utf32")


def check_database(mapping: Mapping, inspector: Inspector) -> list[Finding]:
    """Raises HoldError, StopError or ConfigError if the database cannot be read."""
    tables = {entity.name: inspector.table(entity.table) for entity in mapping.entities}
    found: list[Finding] = []
    for entity in mapping.entities:
        table = tables[entity.name]
        found += _absent(entity) if table is None else _check_table(entity, table)
    found += _order(mapping, [table for table in tables.values() if table])
    for own, problems in inspector.own_mismatches().items():
        found += [error(own, problem, "change it before the deployment") for problem in problems]
    return [*found, *_registered(mapping, *inspector.registered())]


def _registered(mapping: Mapping, table_of: dict[str, str], folds: bool) -> Iterator[Finding]:
    """What the schema step refuses: it lets an entity have one table, and a table one entity."""
    writer_of = {table: entity for entity, table in table_of.items()}
    for index, entity in enumerate(mapping.entities):
        name, table = mapping.scope(index), entity.table.lower() if folds else entity.table
        before, writer = table_of.get(name, table), writer_of.get(table, name)
        if before != table:
            yield error(
                entity.name,
                f"the entity wrote the table {before} until now, and its stored versions are those of its rows there",
                "give it another name; after a rename of the table, run the statement that the schema step prints",
            )
        if writer != name:
            yield error(entity.table, f"the entity {writer} writes this table", "give each entity its own table")


def _absent(entity: Entity) -> list[Finding]:
    hint = "the schema step creates it; backstream mapping ddl prints how"
    return [warning(entity.name, f"table {entity.table} does not exist", hint)]


def _check_table(entity: Entity, table: ActualTable) -> list[Finding]:
    found = [error(entity.name, f"table {table.name}: {problem}", _MAKE_FIT) for problem in table.mismatches(entity)]
    for column in entity.columns:
        if actual := table.columns.get(column.name):
            found += _column(entity, actual, is_key=column in entity.key)
    found += _unique_keys(entity, table)
    found += _foreign_keys(entity, table)
    found += _triggers(entity, table)
    found += _numbered(entity, table)
    return found or [ok(entity.name, f"table {table.name} fits")]


def _column(entity: Entity, actual: ActualColumn, *, is_key: bool) -> Iterator[Finding]:
    subject = f"{entity.name}.{actual.name}"
    declared = next(column.type for column in entity.columns if column.name == actual.name)
    if actual.type not in TEXT_TYPES:
        return
    is_ascii = getattr(declared, "ascii", False) or declared.name == "uuid"
    if actual.charset not in _EVERY_CHARACTER and not is_ascii:
        yield warning(
            subject,
            f"its character set {actual.charset} does not hold every character",
            "items with other characters are quarantined; utf8mb4 holds all",
        )
    if is_key and is_ascii and not actual.collation.endswith("_bin"):
        yield warning(
            subject,
            f"its collation {actual.collation} treats keys that differ only in case as equal",
            "of two such items only one gets a row; a collation that ends in _bin distinguishes them",
        )


def _unique_keys(entity: Entity, table: ActualTable) -> Iterator[Finding]:
    own = set(entity.key_names)
    for name, parts in table.unique_keys.items():
        columns = [part.column for part in parts]
        is_numbered = len(columns) == 1 and columns[0] in table.columns and table.columns[columns[0]].numbered
        if set(columns) != own and not is_numbered:
            yield warning(
                entity.name,
                f"table {table.name} has another unique key, {name} on {', '.join(columns)}",
                "an item is deferred while another row holds its values, and quarantined after a day",
            )


def _foreign_keys(entity: Entity, table: ActualTable) -> Iterator[Finding]:
    for key in table.parents:
        yield warning(
            entity.name,
            f"foreign key {key.name}: table {key.table} refers to {key.parent}",
            "an item that arrives before its parent is deferred, and quarantined after a day",
        )
    deletes = Action.DELETE in (entity.deletes.action, entity.ttl.action)
    for key in table.children:
        if deletes and key.table != key.parent:
            yield _child(entity, key)


def _child(entity: Entity, key: ForeignKey) -> Finding:
    problem = f"foreign key {key.name}: table {key.table} refers to {key.parent}"
    if key.on_delete in ("CASCADE", "SET NULL", "SET DEFAULT"):
        what = "deletes" if key.on_delete == "CASCADE" else "changes"
        return warning(
            entity.name,
            f"{problem} with ON DELETE {key.on_delete}",
            f"a delete here also {what} rows of {key.table}, without a change of their items",
        )
    return warning(
        entity.name, problem, "a delete is deferred while a row refers to its row, and quarantined after a day"
    )


def _triggers(entity: Entity, table: ActualTable) -> Iterator[Finding]:
    if table.triggers is None:
        yield warning(
            entity.name,
            f"the account may not see the triggers of {table.name}",
            "look for triggers with an account that has the TRIGGER privilege",
        )
    for trigger in table.triggers or ():
        yield warning(
            entity.name,
            f"trigger {trigger.name} ({trigger.event})",
            "it runs for each write of the pipeline; a record is parked if it changes the key of its row",
        )


def _numbered(entity: Entity, table: ActualTable) -> Iterator[Finding]:
    for actual in table.columns.values():
        mapped = any(column.name == actual.name for column in entity.columns)
        if actual.numbered and mapped:
            yield warning(
                f"{entity.name}.{actual.name}",
                "is AUTO_INCREMENT, and the mapping writes it",
                "inserts of the legacy application may take numbers that items have",
            )
        elif actual.numbered:
            yield warning(
                f"{entity.name}.{actual.name}",
                "is AUTO_INCREMENT: the server numbers new rows",
                "a row that is deleted and written again gets another number",
            )


def _order(mapping: Mapping, tables: Sequence[ActualTable]) -> Iterator[Finding]:
    """Whether an order of the tables exists in which parents come first."""
    waits = {table.name: {key.parent for key in table.parents} - {table.name} for table in tables}
    names = {table.name for table in tables}
    left = {name: parents & names for name, parents in waits.items()}
    while ready := [name for name, parents in left.items() if not parents & left.keys()]:
        for name in ready:
            del left[name]
    if left:
        yield warning(
            mapping.name,
            f"the tables {', '.join(left)} refer to each other in a cycle, so none of them can be written first",
            "a row is deferred until the rows that it refers to exist; two rows that need each other stay parked",
        )
    elif any(waits.values()):
        yield ok(mapping.name, "parents are written first, and children deleted first")
