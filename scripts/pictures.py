"""Make the pictures in docs/images/: python -m scripts.pictures [report|status|outage].

`report` draws the report page of a made-up replay with headless Chromium, once light and once dark.
`status` draws the status page of a made-up outage in the same way.
`outage` runs the outage demonstration on the running local stack (make up) and keeps its terminal output; two minutes.
Without an argument it makes all. Exit codes: 0 made; 1 a tool is missing or failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from typing import Any

from backstream.status import server as status_server
from backstream.status.document import document
from backstream.status.finding import Commands
from backstream.status.picture import draw
from backstream.status.snapshot import Bin, Counted, EndedJob, EventSource, Flow, Job, Snapshot
from backstream.status.verdict import judge
from dlq_replayer import page

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
WIDTH = 1000
# The picture shows the page down to the parked records. The tables below it would make the picture too tall.
SHORTENED = "<style>h2:nth-of-type(4), h2:nth-of-type(4) ~ * { display: none } main { padding-bottom: 32px }</style>"
_MEASURE = "document.title = document.querySelector('main').offsetHeight"
MEASURED = f"<script>{_MEASURE}</script>"
MEASURED_LATER = f"<script>setTimeout(() => {{ {_MEASURE}; }}, 500);</script>"
BUDGET = "--virtual-time-budget=1000"  # milliseconds; the page refreshes after two seconds
# Values of Chromium's setting preferredColorScheme.
SCHEMES = {"dark": 0, "light": 1}

_FIRST_FAILURE = datetime(2026, 3, 14, 2, 5, tzinfo=UTC)
_STARTED = datetime(2026, 3, 14, 3, 56, 41, tzinfo=UTC)
_BATCHES, _SPLITS = 912, 48


class PictureError(Exception):
    """A picture could not be made. The message says what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="pictures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made = {"report": draw_report, "status": draw_status, "outage": record_outage}
    parser.add_argument("picture", nargs="?", choices=list(made), help="make this one only")
    picture = parser.parse_args().picture
    try:
        for name, make in made.items():
            if picture in (None, name):
                make()
    except PictureError as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    return 0


def draw_report() -> None:
    _draw("report", sample_page() + SHORTENED + MEASURED)


def draw_status() -> None:
    """The page asks its server, which a file has not: it gets the document at once."""
    page_ = status_server.PAGE.read_text(encoding="utf-8")
    answer = (
        f"<script>window.fetch = async () => ({{ ok: true, json: async () => ({json.dumps(_outage())}) }});</script>"
    )
    _draw("status", page_.replace("<script>", f"{answer}<script>", 1) + MEASURED_LATER)


def _draw(name: str, html: str) -> None:
    chromium = _find_chromium()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.html"
        source.write_text(html, encoding="utf-8")
        dom = _run(chromium, "--dump-dom", BUDGET, f"--window-size={WIDTH},{WIDTH}", source)
        height = re.search(r"<title>(\d+)</title>", dom)
        if height is None:
            raise PictureError(f"{chromium} did not render the page")
        for scheme, value in SCHEMES.items():
            target = IMAGES / f"{name}-{scheme}.png"
            _run(
                chromium,
                BUDGET,
                f"--screenshot={target}",
                f"--window-size={WIDTH},{height[1]}",
                f"--blink-settings=preferredColorScheme={value}",
                source,
            )
            print(target.relative_to(ROOT))


def record_outage() -> None:
    target = IMAGES / "demo-outage.svg"
    command = [sys.executable, "-m", "scripts.local_stack", "demo-outage", "--svg", str(target)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise PictureError("the outage demonstration failed, as its last lines say; make up starts the stack")
    print(target.relative_to(ROOT))


def _find_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise PictureError("no Chromium on PATH. Install it: sudo apt-get install chromium, or brew install chromium.")


def _run(chromium: str, *arguments: str | Path) -> str:
    options = ["--headless", "--disable-gpu", "--hide-scrollbars"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium has no sandbox for root
    command = [chromium, *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise PictureError(f"{chromium} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _in_utc() -> None:
    """Pages show local time."""
    os.environ["TZ"] = "UTC"
    time.tzset()


def sample_page() -> str:
    """The page of a replay after an outage of two hours with a record age of one hour. All names are made up."""
    _in_utc()
    return page.render(_report(), _manifest(), list(_results()), _parked())


def _report() -> Any:
    return {
        "execution_arn": "arn:aws:states:eu-central-1:123456789012:execution:backstream-prod-replay:auto-2026-03-14",
        "outcome": "complete",
        "input": {},
        "started": _STARTED.isoformat(),
        "ended": (_STARTED + timedelta(minutes=15, seconds=9)).isoformat(),
        "counts": _COUNTS,
        "next": [_NEXT],
        "expired": [],
        "problems": [],
    }


_NEXT = (
    "Records under quarantine/ can never be written as they are. Read their reasons and correct the items, then retry"
    " or discard the records."
)
_APPLIED, _SUPERSEDED, _STALE, _QUARANTINED = 402_188, 301_307, 208_502, 3
_COUNTS = {
    "messages": 0,
    "batches": _BATCHES,
    "records": _BATCHES * 1000,
    "changes": _BATCHES * 1000 - _QUARANTINED,
    "keys": 431_020,
    "applied": _APPLIED,
    "upserted": _APPLIED - 9_214,
    "deleted": 9_214,
    "seeded": 0,
    "stale": _STALE,
    "redelivered": 0,
    "superseded": _SUPERSEDED,
    "ttl_delete": 0,
    "ignored_delete": 0,
    "unmapped_item": 0,
    "unreadable": 0,
    "parked": _QUARANTINED,
    "quarantined": _QUARANTINED,
    "deferred": 0,
    "unknown": 0,
    "clock_tripped": 0,
    "expired": 0,
    "problems": 0,
    "settled": _BATCHES,
    "left": 0,
    "splits": _SPLITS,
    "splits_drained": _SPLITS,
}


def _manifest() -> Iterator[Any]:
    """Batches of 1000 records over 50 minutes, with a rate that goes up and down."""
    arrived = _FIRST_FAILURE
    for number in range(_BATCHES):
        arrived += timedelta(seconds=3.3 + 1.2 * sin(number / 60) + 0.7 * sin(number / 17))
        yield {"first_arrival": arrived.isoformat(), "failed_at": arrived.isoformat(), "records": 1000}


def _results() -> Iterator[Any]:
    for number in range(_SPLITS):
        drained = _STARTED + timedelta(seconds=60 + 17.5 * number)
        yield {"drained_at": drained.isoformat(), "counts": {"changes": _BATCHES * 1000 // _SPLITS}}


def _parked() -> list[dict[str, Any]]:
    version = "2026-01-31T00:00:00.000_24_1004738900000000068{}.json"
    correct = "correct the item; its next version supersedes this one"
    refused = "the value does not fit its column; correct the item, its next version supersedes"
    reasons = {
        "b52fc1f8-6a35-4b1c-8a8e-5a3d0f7f9c11": ("attribute merchant_id is missing", correct),
        "07c7d2a4-1f4f-4a7e-9e39-0d7c1b6f3f02": ("attribute amount does not fit DECIMAL(19,4)", correct),
        "e1a0b8c4-93c6-4c0e-b1a4-7c8f2f3e6d55": ("MySQL error 4025 (CONSTRAINT_FAILED)", refused),
    }
    return [
        {
            "key": key,
            "kind": "poison",
            "reason": reason,
            "hint": hint,
            "object": f"quarantine/{key}/{version.format(50121 + 7 * number)}",
        }
        for number, (key, (reason, hint)) in enumerate(reasons.items())
    ]


def _outage() -> dict[str, Any]:
    """The status in an outage of 26 minutes, with a record age of six hours."""
    _in_utc()
    now = datetime(2026, 3, 14, 20, 45, 15, tzinfo=UTC)
    lasted = 26  # minutes
    start = now.replace(second=0) - timedelta(minutes=59)
    rates = [140 + 45 * sin(number / 5) + 22 * sin(number / 2.3) for number in range(60 - lasted)]
    lags = [0.5 + 0.2 * sin(number / 3) for number in range(60 - lasted)]
    bins = tuple(
        Bin(start + timedelta(minutes=number), 60 * rate, lag / 2, lag, lag * 1.5)
        for number, (rate, lag) in enumerate(zip(rates, lags, strict=True))
    )
    failed_at = now - timedelta(seconds=9)
    began = now - timedelta(minutes=lasted)
    flow = Flow(
        60,
        bins + tuple(Bin(start + timedelta(minutes=60 - lasted + number)) for number in range(lasted)),
        {"received": 60 * sum(rates), "upserted": 57 * sum(rates), "deleted": 3 * sum(rates), "held": 212.0},
        applied=began - timedelta(seconds=1),
        held=failed_at,
        failing_since=began,
        reason="applying 1000 changes of mapping orders, the first of key order/085d9971: MySQL error 2003: the"
        " database is down or unreachable; changes wait until it answers",
        causes={"database_unreachable": failed_at},
        iterator_age_seconds=60.0 * lasted,
    )
    verified = now - timedelta(hours=19)
    proven = Job(ended=EndedJob("SUCCEEDED", verified, "complete", counts={"items": 2_418_302}))
    taken = Snapshot(
        now=now,
        event_source=EventSource("Enabled", "PROBLEM: Function call failed", 21_600),
        flow=flow,
        failed=Counted(0),
        queue=None,
        quarantined=Counted(0),
        deferred=Counted(0),
        expired=Counted(0),
        jobs={"replay": Job(), "load": Job(), "verify": proven},
        verified=verified,
    )
    findings = judge(taken, Commands("--env prod"))
    return document(draw(taken, findings, "backstream-prod"), taken)


if __name__ == "__main__":
    sys.exit(main())
