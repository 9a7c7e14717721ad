"""The progress of a replay on stderr: live on a terminal, else a line whenever it gets further."""

from __future__ import annotations

import sys

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from backstream.execution import DRAIN, Execution, ExecutionStatus
from backstream.terminal import console, is_terminal

_FIRST = "Start"  # the state that a new execution is about to enter


def follow(execution: Execution) -> None:
    """Show the progress until the execution has ended."""
    if is_terminal(sys.stderr):
        _follow_live(execution)
    else:
        _follow_lines(execution)


def as_line(status: ExecutionStatus) -> str:
    if status.waiting or not status.drained:
        return f"  {_heading(status)}"
    return f"  {_heading(status)}: {_drained(status)}{_left(status)}"


def _follow_lines(execution: Execution) -> None:
    last: tuple[str, int] | None = None
    for status in execution.follow():
        step = (_heading(status), status.drained)
        if step != last:
            print(as_line(status), file=sys.stderr, flush=True)
        last = step


def _follow_live(execution: Execution) -> None:
    columns = (
        _Spinner(),
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
        _SplitBar(),
        TextColumn("{task.fields[drained]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(sys.stderr)) as live:
        steps = _Steps(live)
        for status in execution.follow():
            steps.show(status)
        steps.remove_last()


class _Steps:
    """A line for each state that the replay passes."""

    def __init__(self, live: Progress) -> None:
        self._live = live
        self._task: TaskID | None = None
        self._status: ExecutionStatus | None = None

    def show(self, status: ExecutionStatus) -> None:
        self._count(status)
        if self._status is None or _heading(status) != _heading(self._status):
            if self._task is not None:
                self._live.stop_task(self._task)
            self._task = self._live.add_task(_heading(status), total=None, drained="", drains=status.state == DRAIN)
        self._status = status

    def remove_last(self) -> None:
        """The report tells how the replay ended."""
        if self._task is not None:
            self._live.remove_task(self._task)

    def _count(self, status: ExecutionStatus) -> None:
        """The first status after the drain has its last figures."""
        if self._task is not None and self._status is not None and self._status.state == DRAIN and status.drained:
            drained = _drained(status) + (_left(status) if status.state == DRAIN else "")
            self._live.update(self._task, total=status.splits, completed=status.drained, drained=drained)


class _Spinner(SpinnerColumn):
    """Turns while the state lasts. A drain that stopped half-way is over, though its bar is not full."""

    def render(self, task: Task) -> RenderableType:
        return Text("✓") if task.stop_time is not None else super().render(task)


class _SplitBar(ProgressColumn):
    """A bar for the one state that has something to count."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)

    def render(self, task: Task) -> RenderableType:
        return self._bar.render(task) if task.fields["drains"] else ""


def _heading(status: ExecutionStatus) -> str:
    return f"waiting for MySQL {status.waiting}" if status.waiting else status.state or _FIRST


def _drained(status: ExecutionStatus) -> str:
    splits = status.drained if status.splits is None else f"{status.drained}/{status.splits}"
    return f"{splits} splits, {status.changes:,} changes"


def _left(status: ExecutionStatus) -> str:
    return "" if status.seconds_left is None else f", about {status.seconds_left:.0f} s left"
