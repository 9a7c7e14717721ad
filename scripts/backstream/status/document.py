"""The picture as JSON, for scripts and for the page."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from backstream.status.finding import Finding
from backstream.status.picture import Picture
from backstream.status.snapshot import Snapshot, Unknown

_IN_CHARTS = "bins"


def document(picture: Picture, snapshot: Snapshot) -> dict[str, Any]:
    """`groups` are texts to show, `figures` are values to calculate with: times in ISO format, durations in seconds.

    A source that did not answer is `{"unknown": <reason>}`.
    """
    return {
        "at": picture.now.isoformat(timespec="seconds"),
        "name": picture.name,
        "exit_code": int(picture.verdict.level.exit_code),
        "verdict": _finding(picture.verdict),
        "also": [_finding(finding) for finding in picture.also],
        "groups": [_plain(group) for group in picture.groups],
        "charts": [_plain(chart) for chart in picture.charts],
        "figures": _plain(snapshot),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "level": finding.level.word,
        "headline": finding.headline,
        "next": finding.next,
        "command": finding.command,
        "link": finding.link,
        "details": [{"label": label, "text": text} for label, text in finding.details],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if is_dataclass(value):
        names = (field.name for field in fields(value) if field.name != _IN_CHARTS)
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
