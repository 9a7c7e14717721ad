"""A batch with three entities against the same rows of one: decoded and applied."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from common.database import ApplyOptions
from common.mysql.database import MySQLDatabase
from common.records import parse_records
from scripts.bench.consumer import database
from scripts.bench.mappings import KINDS, declared, three_kinds
from scripts.bench.orders import Event, event, new_keys
from scripts.bench.results import Row, at_least
from scripts.bench.server import UNSPLIT, Bench
from scripts.bench.timing import Variant, interleaved

COUNT, KNOWN, REPETITIONS, GOAL = 999, 9_990, 41, 0.8
MAPPING = declared("kinds", three_kinds())


def rows(bench: Bench) -> Iterator[Row]:
    endpoint = bench.server.empty_database("entities", MAPPING)
    databases = {name: database(endpoint, UNSPLIT, MAPPING) for name in ("one", "three")}
    kinds = {"one": KINDS[:1], "three": KINDS}
    known = {name: _keys(kinds[name], KNOWN) for name in kinds}
    for name, keys in known.items():
        _apply(databases[name], event(keys, modify=False))
    for kind, keys_of in (("new", _new), ("known", partial(_known, known))):
        variants: dict[str, Variant] = {
            name: partial(_batch, databases[name], partial(keys_of, name), modify=kind == "known") for name in kinds
        }
        seconds = interleaved(variants, REPETITIONS)
        note = f"{COUNT / seconds['three']:,.0f} against {COUNT / seconds['one']:,.0f} records/s"
        what = f"{COUNT} {kind} keys of three entities, of the rate of one"
        yield at_least(what, seconds["one"] / seconds["three"], GOAL, note=note)
    for own in databases.values():
        own.drop()


def _keys(kinds: tuple[str, ...], count: int) -> list[str]:
    """Of all kinds in turn, as a stream mixes them."""
    return [f"{kinds[number % len(kinds)]}#{key}" for number, key in enumerate(new_keys(count))]


def _new(name: str) -> list[str]:
    return _keys(KINDS if name == "three" else KINDS[:1], COUNT)


def _known(known: dict[str, list[str]], name: str) -> list[str]:
    return random.sample(known[name], COUNT)


def _batch(own: MySQLDatabase, keys: Callable[[], list[str]], *, modify: bool) -> Callable[[], object]:
    return partial(_apply, own, event(keys(), modify=modify))


def _apply(own: MySQLDatabase, given: Event) -> None:
    records = given["Records"]
    outcome = own.apply(parse_records(records, MAPPING).changes, ApplyOptions())
    if outcome.counts != {"upserted": len(records)}:
        raise RuntimeError(f"not every record was written: {dict(outcome.counts)}")
