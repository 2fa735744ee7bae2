"""What several sections are made of: bars, times, latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.amounts import milliseconds
from crawler.items import NO_FAILURE, Outcome
from crawler.report.markup import el

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.report.markup import Markup

_BAD: Final = frozenset(Outcome) - NO_FAILURE | {Outcome.INVALID}


def bars(rows: Sequence[tuple[str, str, float]]) -> Markup:
    """A table whose last column is a bar. rows: name, value as text, part of the whole."""
    return el(
        "table",
        *(
            el("tr", el("th", name, scope="row"), el("td", value, class_="number"),
               el("td", el("i", class_=_kind(name), style=f"width:{max(part, 0.004):.2%}"), class_="bar"))
            for name, value, part in rows
        ),
        class_="bars",
    )  # fmt: skip


def _kind(name: str) -> str:
    """The colour of a bar: good for what went well, bad for what did not."""
    if name == "ok" or name.startswith("2"):
        return "good"
    return "bad" if name[0].isdigit() or name in _BAD else "plain"


def time(text: str | None) -> str:
    """2026-01-31T23:59:59.960Z as people write it."""
    return (text or "unknown")[:19].replace("T", " ")


def ms(value: float | None) -> str:
    return "none" if value is None else milliseconds(value)
