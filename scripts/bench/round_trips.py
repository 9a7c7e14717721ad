"""Round trips of one batch through the consumer, counted where the driver sends its commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymysql.constants import COMMAND

from scripts.bench.consumer import database, function
from scripts.bench.orders import Event, delivered, new_keys, records, removals
from scripts.bench.rows import Row, exactly
from scripts.bench.server import UNSPLIT, Server
from stream_consumer.consume import consume

COUNT = 1000


def rows(server: Server) -> Iterator[Row]:
    keys = server.known_keys(COUNT)
    clean = "2 statements and a commit"
    yield exactly("round trips of a clean batch", _sent(server, delivered(records(keys))), clean)
    new = delivered(records(new_keys(COUNT), modify=False))
    yield exactly("round trips of a clean batch of new keys", _sent(server, new), clean)
    mixed = delivered(records(keys[1:]) + records(new_keys(1), modify=False))
    yield exactly("round trips of new and known keys together", _sent(server, mixed), "3 statements and a commit")
    deleting = delivered(records(keys[1:]) + removals(keys[:1]))
    yield exactly("round trips with a delete", _sent(server, deleting), "3 statements and a commit")
    late = records(keys[:1])
    _sent(server, delivered(records(keys[:1])))
    with_stale = delivered(late + records(keys[1:]))
    yield exactly("round trips with a stale record", _sent(server, with_stale), "3 statements and a commit")


def _sent(server: Server, event: Event) -> str:
    """What a warm environment sends for `event`, in words."""
    own = database(server.where)
    commands: list[str] = []
    own.run("warming up", lambda connection, _: _count(connection, commands))
    consume(
        event["Records"],
        database=own,
        quarantine=function.QUARANTINE,
        unfinished=function.UNFINISHED,
        table=function.TABLE,
        options=function.Options(statement_bytes=UNSPLIT),
    )
    own.drop()
    commits = commands.count("COMMIT")
    return f"{len(commands) - commits} statements and {'a commit' if commits == 1 else f'{commits} commits'}"


def _count(connection: Any, commands: list[str]) -> None:
    execute = connection._execute_command  # noqa: SLF001 - the one place where the driver sends a command

    def counting(command: int, text: str | bytes) -> None:
        commands.append(str(text) if command == COMMAND.COM_QUERY else "another command")
        execute(command, text)

    connection._execute_command = counting  # noqa: SLF001
