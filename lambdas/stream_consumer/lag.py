"""How far behind the changes of a batch were when they were committed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
MOST_VALUES = 100


def lags(committed_at: float, source_times: Sequence[int]) -> list[float]:
    """Seconds from the time of each change to the commit, at most 100 values, in no order.

    `committed_at` and `source_times` are in epoch seconds. The stream's clock has steps of one second, and clocks
    differ: a commit that looks earlier than its change gives 0.

    Of more than 100 changes, the values are the 1st to the 100th percentile, each that of a change. So the batch keeps
    its percentiles and its maximum. Its weight among other batches is that of 100 changes.
    """
    times, count = source_times, len(source_times)
    if count > MOST_VALUES:
        newest_first = sorted(times, reverse=True)
        times = [newest_first[-(-count * rank // MOST_VALUES) - 1] for rank in range(1, MOST_VALUES + 1)]
    # Few seconds are distinct, and rounding takes longer than all else.
    lag_of = {time: max(0.0, round(committed_at - time, 3)) for time in set(times)}
    return [lag_of[time] for time in times]
