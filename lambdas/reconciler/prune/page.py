"""The report of a prune as one self-contained page."""

from __future__ import annotations

from common.report_page import ReportPage, tone_of
from reconciler.prune.documents import Report


def render(report: Report) -> str:
    planned = report["estimate"]
    return ReportPage(
        title="Prune",
        name=report["run"],
        times=f"{report['started']} to {report['ended']}; removals before {report['before']};"
        f" at most {planned['rate']:g} rows a second",
        outcome=report["outcome"],
        tone=tone_of(report["outcome"], needs_a_person=False),
        reason=report.get("reason", ""),
        cards=report["counts"],
        next=report["next"],
        sections={},
        counts={"rows of the sidecar, by MySQL's estimate": planned["sidecar_rows"]},
    ).render()
