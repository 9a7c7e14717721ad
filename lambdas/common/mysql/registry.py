"""Whose versions the sidecar holds, and which entity writes a table.

`replication_sources` has one row for each generation of a mapping. Versions of two DynamoDB tables cannot be compared:
newer changes would count as stale and be lost. So the schema step registers its source or refuses it, and every
connection checks that its source is registered.

`replication_entities` has one row for each entity. Two entities that wrote one table would change each other's rows, so
the schema step registers the table of each entity or refuses it.
"""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from common.database import SchemaMismatchError
from common.mapping import DEFAULT, Mapping
from common.mysql import answers, errors
from common.mysql.own_table import OwnTable
from common.mysql.sidecar import SIDECAR, of_mapping
from common.mysql.sql import literal
from common.source import Source

SOURCES = "replication_sources"
# Version 0.1.0 works only where the generation alone is unique, at every connection. So this key allows one mapping.
FORMER_KEY = "version_0_1_0"
SOURCES_DDL = f"""CREATE TABLE IF NOT EXISTS {SOURCES} (
  mapping VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'name of the mapping',
  generation INT NOT NULL COMMENT 'stream_generation of the deployment',
  table_arn VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'DynamoDB table of the changes',
  stream_label VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'its stream that was deployed last',
  registered_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (mapping, generation)
) ENGINE=InnoDB COMMENT='Backstream: where the versions come from'"""
SOURCES_TABLE = OwnTable(
    SOURCES,
    SOURCES_DDL,
    columns=("mapping", "generation", "table_arn", "stream_label", "registered_at"),
    texts={"mapping": 32, "table_arn": 512, "stream_label": 32},
    key=("mapping", "generation"),
    added=("mapping",),
    migration=(
        f"ALTER TABLE {SOURCES} ADD COLUMN mapping VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
        f" DEFAULT '{DEFAULT}' FIRST, DROP PRIMARY KEY, ADD PRIMARY KEY (mapping, generation),"
        f" ADD UNIQUE KEY {FORMER_KEY} (generation)"
    ),
)

ENTITIES = "replication_entities"
ENTITIES_TABLE = OwnTable(
    ENTITIES,
    f"""CREATE TABLE IF NOT EXISTS {ENTITIES} (
  entity VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'mapping.entity',
  target_table VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'the table that it writes',
  PRIMARY KEY (entity),
  UNIQUE KEY target_table (target_table)
) ENGINE=InnoDB COMMENT='Backstream: which entity writes which table'""",
    columns=("entity", "target_table"),
    texts={"entity": 64, "target_table": 64},
    key=("entity",),
)

_TRIES = 5
_LOST_RACE = (ER.LOCK_DEADLOCK, ER.DUP_ENTRY)

Registered = dict[int, tuple[str, str]]  # table ARN and stream label of each generation


class SourceError(SchemaMismatchError):
    """Changes of this source must not be compared with the stored versions. The message says what to do."""

    title = "wrong source"

    def __init__(self, problem: str) -> None:
        super().__init__(SIDECAR, [problem])
        self.args = (problem,)


def register(connection: Connection[Any], mapping: Mapping, source: Source, label: str) -> str:
    """Register `source` with the label of its stream, and the table of every entity of `mapping`.

    Answers "registered", "renewed" for a later label, or "known". With nothing changed, raises SourceError when
    versions of this stream could be lower than those applied, SchemaMismatchError when another entity writes a table.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            connection.begin()
            answer = _register(connection, mapping.name, source, label)
            _register_entities(connection, mapping)
            connection.commit()
        except SchemaMismatchError:
            connection.rollback()
            raise
        except pymysql.MySQLError as error:
            if not tries_left or errors.number(error) not in _LOST_RACE:
                raise
            connection.rollback()  # another schema step was faster: read what it has registered
        else:
            return answer
    raise AssertionError("the last try answers or raises")


def check(connection: Connection[Any], mapping: Mapping, source: Source | None) -> bool:
    """Whether the server reports matched rows, tested on a row that does not change. If not, the caller must probe.

    The statement commits by itself. A lock on this row that outlived its client would stop every new connection.

    Raises SchemaMismatchError when `source` is not registered, or when an unchanged row counts as written.
    """
    condition = f"mapping = {literal(mapping.name)}"
    if source:
        condition += f" AND generation = {source.generation} AND table_arn = {literal(source.table_arn)}"
    connection.autocommit(True)
    affected = connection.query(f"UPDATE {SOURCES} SET table_arn = table_arn WHERE {condition}")
    matched = answers.rows_matched(connection)
    connection.autocommit(False)
    if affected:
        raise SchemaMismatchError(
            SOURCES, ["an unchanged row counts as written: a proxy or driver sets CLIENT_FOUND_ROWS"]
        )
    if source and not (_is_there(connection, condition) if matched is None else matched):
        raise SourceError(
            f"{SOURCES} has no entry for {source.table_arn} as generation {source.generation} of mapping"
            f" {mapping.name}; run the schema step"
        )
    return bool(matched)


def _register(connection: Connection[Any], mapping: str, source: Source, label: str) -> str:
    known = _registered(connection, mapping)
    problem = _problem(known, source, label) if known else _unregistered_problem(connection, mapping, source, label)
    if problem:
        raise SourceError(problem)
    with connection.cursor() as cursor:
        if source.generation not in known:
            try:
                cursor.execute(
                    f"INSERT INTO {SOURCES} (mapping, generation, table_arn, stream_label) VALUES (%s, %s, %s, %s)",
                    (mapping, source.generation, source.table_arn, label),
                )
            except pymysql.IntegrityError as error:
                if FORMER_KEY in str(error):
                    raise SchemaMismatchError(SOURCES, [_FORMER_KEY_PROBLEM]) from None
                raise
            return "registered"
        if known[source.generation][1] == label:
            return "known"
        cursor.execute(
            f"UPDATE {SOURCES} SET stream_label = %s, registered_at = CURRENT_TIMESTAMP"
            " WHERE mapping = %s AND generation = %s",
            (label, mapping, source.generation),
        )
    return "renewed"


def _register_entities(connection: Connection[Any], mapping: Mapping) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@lower_case_table_names")
        folds = bool(cursor.fetchall()[0][0])
        cursor.execute(f"SELECT entity, target_table FROM {ENTITIES} FOR UPDATE")
        table_of = {str(entity): str(table) for entity, table in cursor.fetchall()}
        writer_of = {table: entity for entity, table in table_of.items()}
        for i, declared in enumerate(mapping.entities):
            entity, table = mapping.scope(i), declared.table.lower() if folds else declared.table
            if table_of.get(entity) == table:
                continue
            if entity in table_of:
                raise SchemaMismatchError(declared.table, [_moved_problem(entity, table_of[entity], table)])
            if table in writer_of:
                raise SchemaMismatchError(declared.table, [_taken_problem(entity, writer_of[table])])
            cursor.execute(f"INSERT INTO {ENTITIES} (entity, target_table) VALUES (%s, %s)", (entity, table))


_FORMER_KEY_PROBLEM = (
    f"its unique key {FORMER_KEY}, with which version 0.1.0 goes on working, allows one mapping. If you will not go"
    f" back to that version, run: ALTER TABLE {SOURCES} DROP KEY {FORMER_KEY}"
)


def _moved_problem(entity: str, before: str, now: str) -> str:
    return (
        f"entity {entity} wrote the table {before} until now, and its stored versions belong to the rows there. If"
        f" that table was renamed, run: UPDATE {ENTITIES} SET target_table = '{now}' WHERE entity = '{entity}'."
        " Otherwise give the entity another name"
    )


def _taken_problem(entity: str, writer: str) -> str:
    return (
        f"entity {writer} writes it already, and {entity} would change its rows: map {entity} to another table. If"
        f" no deployment has the entity {writer} any longer, run: DELETE FROM {ENTITIES} WHERE entity = '{writer}'"
    )


def _registered(connection: Connection[Any], mapping: str) -> Registered:
    """Every row of `mapping`, locked, so that schema steps register one after the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT generation, table_arn, stream_label FROM {SOURCES} WHERE mapping = %s ORDER BY generation"
            " FOR UPDATE",
            (mapping,),
        )
        return {generation: (table_arn, label) for generation, table_arn, label in cursor.fetchall()}


def _problem(known: Registered, source: Source, label: str) -> str | None:
    highest = max(known)
    raise_it = f"set stream_generation to {highest + 1}"
    if highest > source.generation:
        return (
            f"generation {highest} is registered for {known[highest][0]}, so changes of generation {source.generation}"
            f" from {source.table_arn} would count as stale: {raise_it}"
        )
    if source.generation not in known:
        return None
    known_arn, known_label = known[source.generation]
    if known_arn != source.table_arn:
        return (
            f"{SIDECAR} belongs to {known_arn}, and this deployment's changes come from {source.table_arn}:"
            f" give this deployment a database of its own, or, if this table replaces that one, {raise_it}"
        )
    if label < known_label:
        return (
            f"the stream {label} of {source.table_arn} is older than its stream {known_label}, so its changes would"
            f" count as stale: {raise_it}"
        )
    return None


def _unregistered_problem(connection: Connection[Any], mapping: str, source: Source, label: str) -> str | None:
    """No source is registered yet: only the sidecar's versions tell what was applied."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT MAX(version) FROM {SIDECAR} WHERE {of_mapping(mapping)}")
        highest = str(cursor.fetchall()[0][0] or "")
    begin = f"{source.prefix}{label}_"
    if highest[: len(begin)] <= begin:
        return None
    generation = int(highest[1:5]) if highest.startswith("g") else 0
    return (
        f"{SIDECAR} holds versions up to {highest}, so changes of the stream {label} of {source.table_arn} would count"
        f" as stale: give this deployment a database of its own, or set stream_generation to {generation + 1}"
    )


def _is_there(connection: Connection[Any], condition: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {SOURCES} WHERE {condition}")
        return bool(cursor.fetchall())
