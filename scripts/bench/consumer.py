"""The consumer's own handler, from event to commit, log line and metrics included.

Run by itself, it takes one event and prints its counts and its peak memory:

python -m scripts.bench.consumer <file with the endpoint> <file with the event> <statement bytes>
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pymysql.constants import COMMAND

from common.database import ApplyOptions
from common.mapping import Mapping
from common.mysql.database import MySQLDatabase
from common.spans import Span, no_span
from scripts.bench.baselines import one_upsert, reference
from scripts.bench.delay_proxy import delayed, round_trip
from scripts.bench.environment import LambdaContext
from scripts.bench.orders import Event, changes, event, new_keys, records, removals, to_event
from scripts.bench.own_process import MEGABYTE, call, called_with, peak_memory
from scripts.bench.quiet import quiet
from scripts.bench.results import Row, at_least, at_most, exactly, information
from scripts.bench.server import MAPPING, SPLIT, UNSPLIT, Bench, Endpoint, FixedParameters, Server
from scripts.bench.timing import Variant, interleaved
from stream_consumer import handler as function
from stream_consumer.consume import consume

Handler = Callable[[Event], dict[str, int]]
Keys = Callable[[], list[str]]

LIMIT_REPETITIONS = {100: 121, 1000: 41}
LIMIT_GOALS = {(100, "new"): 0.42, (100, "known"): 0.42, (1000, "new"): 0.45, (1000, "known"): 0.40}

COUNT = 1000
REFERENCE_REPETITIONS = 9
ADDED_ROUND_TRIP = 0.001

MEMORY_COUNT, MEMORY_GOAL = 10_000, 256

TIMEOUT_SECONDS = 60


def database(
    endpoint: Endpoint, statement_bytes: int, mapping: Mapping = MAPPING, *, span: Span = no_span
) -> MySQLDatabase:
    settings, parameters = function.SETTINGS, FixedParameters(endpoint)
    return MySQLDatabase(
        settings, parameters, mapping, source=settings.source, statement_bytes=statement_bytes, span=span
    )


def handler(endpoint: Endpoint, statement_bytes: int) -> Handler:
    """A warm environment: the first event makes the connection, the later ones use it."""
    own = database(endpoint, statement_bytes)

    def handle(event: Event) -> dict[str, int]:
        function.DATABASE = own
        with quiet():
            counts: dict[str, int] = function.handler(event, LambdaContext(TIMEOUT_SECONDS))
        return counts

    return handle


def rows_of_handler(bench: Bench) -> Iterator[Row]:
    """Against the raw limit: rows ready as tuples, the target table alone, one upsert."""
    for count, repetitions in LIMIT_REPETITIONS.items():
        for kind, keys in (("new", new_keys), ("known", bench.server.known_keys)):
            seconds = _against_limit(bench.server, partial(keys, count), repetitions)
            rate = f"{count / seconds['whole']:,.0f} records/s"
            ratio = seconds["limit"] / seconds["whole"]
            goal = LIMIT_GOALS[count, kind]
            yield at_least(f"handler against the raw limit, {count} {kind} keys", ratio, goal, note=rate)
            ratio = seconds["limit"] / seconds["split"]
            yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.2f}")


def _against_limit(server: Server, keys: Keys, repetitions: int) -> dict[str, float]:
    with server.endpoint.connect() as connection:

        def limit() -> Callable[[], object]:
            return partial(
                one_upsert, connection, server.targets.tables[0], [change.row for change in changes(MAPPING, keys())]
            )

        variants: dict[str, Variant] = {**_handled(server.endpoint, keys), "limit": limit}
        return interleaved(variants, repetitions)


def _handled(endpoint: Endpoint, keys: Keys) -> dict[str, Variant]:
    """The handler's variants: one statement per table, and statements of `SPLIT` bytes."""

    def variant(handle: Handler) -> Callable[[], object]:
        return partial(handle, event(keys()))

    return {
        "whole": partial(variant, handler(endpoint, UNSPLIT)),
        "split": partial(variant, handler(endpoint, SPLIT)),
    }


def rows_of_reference(bench: Bench) -> Iterator[Row]:
    """Against the reference's consumer, next to the server and one millisecond away from it.

    Both get the same kind of event and use plain TCP: the reference connects for every event, and TLS would cost it
    another 2 to 20 ms each time.
    """
    endpoint = bench.server.endpoint
    yield from _against_reference(endpoint, "on loopback", 7)
    with delayed(endpoint, ADDED_ROUND_TRIP) as distant:
        yield from _against_reference(distant, "with 1 ms of round trip added", 40)


def _against_reference(endpoint: Endpoint, place: str, goal: float) -> Iterator[Row]:
    variants: dict[str, Variant] = {
        **_handled(endpoint, partial(new_keys, COUNT)),
        "reference": lambda: partial(reference, endpoint, event(new_keys(COUNT))),
    }
    seconds = interleaved(variants, REFERENCE_REPETITIONS)
    note = f"{1000 * seconds['whole']:.1f} ms against {1000 * seconds['reference']:.0f} ms"
    ratio = seconds["reference"] / seconds["whole"]
    yield at_least(f"handler against the reference's way, {COUNT} records {place}", ratio, goal, " times", note)
    ratio = seconds["reference"] / seconds["split"]
    yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.1f} times")
    yield information("  round trip by COM_PING", f"{1000 * round_trip(endpoint):.2f} ms")


def rows_of_round_trips(bench: Bench) -> Iterator[Row]:
    """Of one event, counted where the driver sends its commands."""
    server = bench.server
    keys = server.known_keys(COUNT)
    clean = "2 statements and a commit"
    yield exactly("round trips of a clean batch", _sent(server, to_event(records(keys))), clean)
    new = to_event(records(new_keys(COUNT), modify=False))
    yield exactly("round trips of a clean batch of new keys", _sent(server, new), clean)
    mixed = to_event(records(keys[1:]) + records(new_keys(1), modify=False))
    yield exactly("round trips of new and known keys together", _sent(server, mixed), "3 statements and a commit")
    deleting = to_event(records(keys[1:]) + removals(keys[:1]))
    yield exactly("round trips with a delete", _sent(server, deleting), "3 statements and a commit")
    stale = records(keys[:1])
    _sent(server, to_event(records(keys[:1])))
    with_stale = to_event(stale + records(keys[1:]))
    yield exactly("round trips with a stale record", _sent(server, with_stale), "3 statements and a commit")


def _sent(server: Server, event: Event) -> str:
    """What a warm environment sends for `event`, in words."""
    own = database(server.endpoint, UNSPLIT)
    commands: list[str] = []
    own.execute("warming up", lambda connection, _: _record_commands(connection, commands))
    consume(
        event["Records"],
        function.parse(event["Records"]),
        database=own,
        quarantine=function.QUARANTINE,
        unfinished=function.UNFINISHED,
        options=ApplyOptions(),
    )
    own.drop()
    commits = commands.count("COMMIT")
    return f"{len(commands) - commits} statements and {'a commit' if commits == 1 else f'{commits} commits'}"


def _record_commands(connection: Any, commands: list[str]) -> None:
    execute = connection._execute_command  # noqa: SLF001 - the one place where the driver sends a command

    def recording(command: int, text: str | bytes) -> None:
        commands.append(str(text) if command == COMMAND.COM_QUERY else "another command")
        execute(command, text)

    connection._execute_command = recording  # noqa: SLF001


def rows_of_memory(bench: Bench) -> Iterator[Row]:
    """Of a process that takes 10,000 records at once."""
    for how, statement_bytes in (("unsplit", UNSPLIT), (f"in statements of {SPLIT:,} bytes", SPLIT)):
        peak, size = _peak(bench.server.endpoint, statement_bytes)
        what = f"peak memory of the consumer, {MEMORY_COUNT:,} records {how}"
        yield at_most(what, peak / MEGABYTE, MEMORY_GOAL, " MB", f"{size / MEMORY_COUNT:.0f} bytes per record")


def _peak(endpoint: Endpoint, statement_bytes: int) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "event.json"
        file.write_text(json.dumps({"Records": records(new_keys(MEMORY_COUNT))}))
        answer = call("scripts.bench.consumer", endpoint, file, statement_bytes)
        size = file.stat().st_size
    if answer["counts"] != {"upserted": MEMORY_COUNT}:
        raise RuntimeError(f"the consumer did not write all records: {answer['counts']}")
    return answer["peak"], size


if __name__ == "__main__":
    given, (file, statement_bytes) = called_with()
    counts = handler(given, int(statement_bytes))(json.loads(Path(file).read_bytes()))
    print(json.dumps({"counts": counts, "peak": peak_memory()}))
