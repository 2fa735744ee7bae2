"""From an output directory to its report.html, which replaces the one before whole."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from crawler.exceptions import StoreError
from crawler.report.gather import gather
from crawler.report.page import page
from crawler.store.exports import replacing
from crawler.store.reading import open_ledger
from crawler.store.runs import now

if TYPE_CHECKING:
    from pathlib import Path

REPORT: Final = "report.html"

REPORT_S: Final = 120.0, 20.0
"""The most that counting for it may take when a run came to its end, and when it was stopped, for somebody who waits:
10 million calls take 15 s of CPU, and 4 GB are read. `scrapy report` takes the time it needs."""


def write_report(out: Path, *, run: int | None = None, limit_s: float | None = None) -> Path:
    """Write it. run, limit_s: see page_of. Returns its path. Raises StoreError, OtherListError, LookupError."""
    text = page_of(out, run=run, limit_s=limit_s)
    path = out / REPORT
    with replacing(path) as file:
        file.write(text)
    return path


def report_at_end(out: Path, run: int | None, *, stopped: bool) -> str | None:
    """Write it at the end of a run, within REPORT_S; gives why there is none. The ledger has it all."""
    try:
        write_report(out, run=run, limit_s=REPORT_S[stopped])
    except StoreError as exc:
        return str(exc)
    return None


def page_of(out: Path, *, run: int | None = None, limit_s: float | None = None) -> str:
    """Give the page. run: which one, None: the latest that made calls. limit_s: the most that counting may take.

    Raises StoreError (after limit_s too), OtherListError when *out* is no output directory, LookupError when there is
    no such run.
    """
    with open_ledger(out) as db:
        try:
            facts = gather(db, run=run, limit_s=limit_s)
        except sqlite3.OperationalError as exc:
            if "interrupted" in str(exc):
                raise StoreError(f"to count the ledger takes longer than {limit_s:g} s") from exc
            raise
    if facts is None:
        raise LookupError(f"{out}: there is no run {run}" if run is not None else f"{out}: there was no run yet")
    return page(facts, name=out.name, written_at=now())
