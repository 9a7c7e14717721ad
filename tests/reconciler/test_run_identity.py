"""A run is of one mapping and of one stream: it goes on under no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.reconciler.test_between_stages import fill
from tests.support.load import LoadExecution
from tests.support.replay import LATER_ARN
from tests.support.seed import SeedHarness

MakeSeeds = Callable[..., SeedHarness]
each_job = pytest.mark.parametrize("job", ["load", "verify", "seed"])


def another_mapping(seeds: SeedHarness) -> None:
    """A deployment with another mapping of the same tables."""
    seeds.mapping = replace(seeds.mapping, ttl_attribute=None)


def another_stream(seeds: SeedHarness) -> None:
    """A deployment after the stream was made again, or for another table."""
    seeds.stream_arn = seeds.table.stream_arn = LATER_ARN


each_change = pytest.mark.parametrize("deploy", [another_mapping, another_stream])


@each_job
@each_change
def test_a_run_of_another_deployment_does_not_go_on(
    seeds: SeedHarness, job: str, deploy: Callable[[SeedHarness], None]
) -> None:
    """What it has done is of other items or other rows. The next execution begins anew."""
    first = LoadExecution(fill(seeds, job), {}, job=job).until("next")
    first.stop()
    deploy(seeds)
    second = LoadExecution(seeds, {}, job=job)
    report: Any = second.resume()
    assert (report["outcome"], report["run"]) == ("complete", second.name)


@each_job
@each_change
@pytest.mark.parametrize("action", ["check", "walk"])
def test_a_deployment_ends_the_run_that_it_meets(
    seeds: SeedHarness, job: str, deploy: Callable[[SeedHarness], None], action: str
) -> None:
    """So does a redrive after one. Nothing is called complete, and the next execution begins anew."""
    first = LoadExecution(fill(seeds, job), {}, job=job).until(action)
    deploy(seeds)
    report = first.resume()
    assert report["outcome"] == "incomplete"
    assert "was deployed" in report["reason"]
    second = LoadExecution(seeds, {}, job=job)
    assert (second.resume()["outcome"], second.state["run"]) == ("complete", second.name)


def test_a_seed_of_changes_needs_one_of_all_rows_of_its_table(seeds: SeedHarness) -> None:
    """A new table has none of the items that were seeded into the one before it."""
    fill(seeds, "seed").seed()
    assert seeds.counts(since={"column": "updated_at"})
    another_stream(seeds)
    refused = seeds.seed(since={"column": "updated_at"})
    assert refused["outcome"] == "not_ready"


def test_slices_of_two_tables_prove_no_time_together(seeds: SeedHarness) -> None:
    """A slice that was equal with the stream of another table is to be compared again."""
    fill(seeds, "verify")
    seeds.load()
    for part in ("1/2", "2/2"):
        seeds.clock.advance(60)
        last = seeds.verify(slice=part)
    assert last["verified_through"]
    another_stream(seeds)
    assert [bool(seeds.verify(slice=part)["verified_through"]) for part in ("1/2", "2/2")] == [False, True]
