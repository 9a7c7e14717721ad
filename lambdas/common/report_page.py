"""A report as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

SHOWN = 200  # rows of a table; the others are counted


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """What all reports have. Only `sections` holds HTML, by heading.

    `tone` colours the outcome: good, plain, warn or bad. `cards` and `counts` are numbers by name.
    """

    title: str
    name: str
    times: str
    outcome: str
    tone: str
    reason: str
    cards: Mapping[str, int]
    next: Sequence[str]
    sections: Mapping[str, str]
    counts: Mapping[str, int]

    def render(self) -> str:
        template = Template((Path(__file__).parent / "report_page.html").read_text(encoding="utf-8"))
        return template.substitute(
            title=escape(self.title),
            name=escape(self.name),
            times=escape(self.times),
            outcome=escape(self.outcome.replace("_", " ")),
            tone=self.tone,
            reason=escape(self.reason),
            cards="".join(f"<div><b>{n:,}</b><span>{_words(name)}</span></div>" for name, n in self.cards.items()),
            next="".join(f"<li>{escape(advice)}</li>" for advice in self.next) or "<li>Nothing to do.</li>",
            sections="\n".join(f"  <h2>{escape(heading)}</h2>\n  {html}" for heading, html in self.sections.items()),
            counts="".join(f"<tr><th>{_words(name)}</th><td>{n:,}</td></tr>" for name, n in self.counts.items()),
        )


def tone_of(outcome: str, *, needs_a_person: bool) -> str:
    if outcome in ("complete", "nothing_to_do"):
        return "warn" if needs_a_person else "good"
    return "plain" if outcome == "planned" else "bad"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], total: int) -> str:
    """HTML of the first rows, and how many more there are."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{_words(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row.get(column, '')))}</td>" for column in columns) + "</tr>"
        for row in rows[:SHOWN]
    )
    more = f"<p>and {total - SHOWN:,} more</p>" if total > SHOWN else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _words(name: str) -> str:
    return escape(name.replace("_", " "))
