"""Any set of failed batches, however split and interrupted, ends in the last state of each key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.backlogs import GeneratedBacklog, backlogs
from tests.support.replay import ORDERS, STOCK, Dataset, ReplayHarness


@pytest.mark.parametrize("dataset", [ORDERS, STOCK], ids=["orders", "stock"])
def test_any_backlog_is_replayed_however_interrupted(make_harness: Callable[..., ReplayHarness], dataset: Dataset):
    """Batches overlap, repeat, are bisected, come from parent and child shards and from two streams of one table."""

    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
    @given(backlog=backlogs)
    def replays(backlog: GeneratedBacklog) -> None:
        backlog.assert_replays(lambda **options: make_harness(dataset=dataset, **options))

    replays()
