"""The report of a load as one self-contained page."""

from __future__ import annotations

import json

from common.report_page import ReportPage, table, tone_of
from reconciler.load.documents import Report


def render(report: Report) -> str:
    planned = report["estimate"]
    problems = [{**one, "key": one["key"] or json.dumps(one["item_key"])} for one in report["problems"]]
    return ReportPage(
        title="Load",
        name=report["run"],
        times=f"{report['started']} to {report['ended']}; at most {planned['rate']:g} read units a second",
        outcome=report["outcome"],
        tone=tone_of(report["outcome"], needs_a_person=bool(report["next"])),
        reason=report.get("reason", ""),
        cards=report["counts"],
        next=report["next"],
        sections={
            "Items that are not in MySQL": table(problems, ("key", "reason", "hint"), report["counts"]["refused"])
        },
        counts={
            "items, by DynamoDB's estimate": planned["items"],
            "bytes, by DynamoDB's estimate": planned["bytes"],
            "scans": planned["scans"],
            "read units, estimated": planned["read_units"],
            "read units, consumed": round(report["read_units"]),
        },
    ).render()
