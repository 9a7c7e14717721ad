"""The report of a seed as one self-contained page."""

from __future__ import annotations

from common.report_page import ReportPage, table, tone_of
from reconciler.seed.documents import Report


def render(report: Report) -> str:
    planned = report["estimate"]
    since = "".join(f"; {entity} since {value}" for entity, value in report["since"].items())
    return ReportPage(
        title="Seed",
        name=report["run"],
        times=f"{report['started']} to {report['ended']}; at most {planned['rate']:g} units a second{since}",
        outcome=report["outcome"],
        tone=tone_of(report["outcome"], needs_a_person=bool(report["next"])),
        reason=report.get("reason", ""),
        cards=report["counts"],
        next=report["next"],
        sections={"Rows without an item": table(report["problems"], ("key", "reason"), report["counts"]["unseedable"])},
        counts={
            "rows, by MySQL's estimate": planned["items"],
            "bytes, by MySQL's estimate": planned["bytes"],
            "write units of all rows, estimated": planned.get("write_units", 0),
            "units, consumed": round(report["units"]),
        },
    ).render()
