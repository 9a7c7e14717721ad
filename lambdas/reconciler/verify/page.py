"""The report of a verification as one self-contained page."""

from __future__ import annotations

import json

from common.report_page import ReportPage, table, tone_of
from reconciler.verify.documents import Report

_CARDS = ("items", "mysql_rows", "drift", "pending", "repaired", "refused", "item_refused", "unsettled")


def render(report: Report) -> str:
    planned = report["estimate"]
    findings = [
        {**one, "key": one["key"] or json.dumps(one["item_key"]), "columns": ", ".join(one["columns"])}
        for one in report["findings"]
    ]
    proven = f"; verified through {report['verified_through']}" if report["verified_through"] else ""
    part = f"slice {report['slice']}; " if report["slice"] else ""
    if report["changed_from"]:
        part = f"changed from {report['changed_from']} until {report['changed_until']}; "
    scanned = f"the whole table was read: {report['scan_reason']}" if "scan_reason" in report else ""
    return ReportPage(
        title="Verification",
        name=report["run"],
        times=f"{part}{report['started']} to {report['ended']}{proven}",
        outcome=report["outcome"],
        tone=tone_of(report["outcome"], needs_a_person=bool(report["next"])),
        reason="; ".join(filter(None, (report.get("reason", ""), scanned))),
        cards={name: report["counts"][name] for name in _CARDS},
        next=report["next"],
        sections={
            "Differences": table(
                findings, ("key", "kind", "columns", "repair", "outcome", "reason"), len(report["findings"])
            )
        },
        counts={
            **report["counts"],
            "items, by DynamoDB's estimate": planned["items"],
            "read units, estimated": planned["read_units"],
            "read units, consumed": round(report["read_units"]),
        },
    ).render()
