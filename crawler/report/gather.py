"""What the report says, counted from the ledger: one pass over its calls, one over what failed, the rest is small."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from crawler.items import NOT_A_CALL
from crawler.report.curl import curl_command
from crawler.report.shown import choose, curve_of, latest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from crawler.report.curve import Curve
    from crawler.report.shown import Shown

HOSTS: Final = 50
REASONS: Final = 40
RUNS: Final = 20
"""The most rows of each table: a page is for reading. What is left out is counted."""

TEXT_CHARS: Final = 500
"""Of a URL or an error."""

STEPS: Final = 100_000
"""SQLite's steps between two looks at the clock: a few milliseconds."""

_CALLS: Final = """
SELECT host, outcome, status, count(*), sum(bytes), sum(elapsed_ms), count(elapsed_ms) FROM calls
WHERE outcome IS NOT NULL GROUP BY host, outcome, status
"""
# CROSS JOIN: SQLite then begins with the few requests that are kept, not with all calls.
_FAILED: Final = """
SELECT c.outcome, c.status, reason(c.error), count(*), min(c.id) FROM requests r CROSS JOIN calls c ON c.id = r.record
WHERE c.outcome IS NOT NULL AND c.outcome NOT IN ('ok', 'duplicate') GROUP BY 1, 2, 3 ORDER BY 4 DESC
"""
_INVALID: Final = """
SELECT reason(error), count(*), min(id) FROM calls WHERE outcome = 'invalid' AND uuid8 IS NULL
GROUP BY 1 ORDER BY 2 DESC
"""
_EXAMPLE: Final = """
SELECT c.line, c.url, c.error, c.location, r.request, r.body FROM calls c LEFT JOIN requests r ON r.record = c.id
WHERE c.id = ?
"""

_DETAIL: Final = re.compile(r"https?://\S+|[0-9a-fA-F]{8,}|\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Calls that failed alike, and one of them. curl: repeats it; None where it was no call."""

    outcome: str
    status: int | None
    count: int
    line: int | None
    url: str
    error: str
    location: str | None
    curl: str | None


@dataclass(slots=True)
class HostSum:
    """What became of the calls to one host."""

    host: str
    outcomes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    elapsed_ms: int = 0
    timed: int = 0

    @property
    def calls(self) -> int:
        return self.outcomes.total()

    @property
    def mean_ms(self) -> float | None:
        return self.elapsed_ms / self.timed if self.timed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the page shows.

    shown: the run, or the parts of one list, that the page is about; work: see Shown.work. runs: the latest ones,
    newest first. equation: of the list as it is now, or as it was at the end of the run that was asked for; None when
    nobody counted.
    """

    shown: Shown
    work: dict[str, Any] | None
    equation: dict[str, Any] | None
    runs: list[dict[str, Any]]
    runs_in_all: int
    curve: Curve | None
    statuses: Counter[int]
    outcomes: Counter[str]
    bytes: int
    hosts: list[HostSum]
    hosts_in_all: int
    failures: list[Failure]
    failures_in_all: int


def gather(db: sqlite3.Connection, *, run: int | None = None, limit_s: float | None = None) -> Facts | None:
    """Count everything. run: which one, None: the latest that made calls, else the latest; None when there is none.

    limit_s: after so many seconds sqlite3.OperationalError is raised.
    """
    if limit_s is not None:
        deadline_s = time.monotonic() + limit_s
        db.set_progress_handler(lambda: time.monotonic() > deadline_s, STEPS)
    db.create_function("reason", 1, _reason, deterministic=True)
    shown = choose(db, run)
    if shown is None:
        return None
    statuses: Counter[int] = Counter()
    outcomes: Counter[str] = Counter()
    size = hosts_in_all = 0
    sums = []
    for each in _host_sums(db, statuses):
        outcomes.update(each.outcomes)
        size += each.bytes
        if each.host:
            hosts_in_all += 1
            sums.append(each)
            if len(sums) > 20 * HOSTS:  # a list may have a million
                sums = nlargest(HOSTS, sums, key=lambda host: host.calls)
    failures = list(_failures(db, shown.run))
    (runs_in_all,) = db.execute("SELECT count(*) FROM runs").fetchone()
    runs, at = latest(db, RUNS), curve_of(db, shown)
    return Facts(
        shown=shown,
        work=shown.work(at),
        equation=(shown.run if run is not None else runs[0])["summary"].get("equation"),
        runs=runs,
        runs_in_all=runs_in_all,
        curve=at,
        statuses=statuses,
        outcomes=outcomes,
        bytes=size,
        hosts=nlargest(HOSTS, sums, key=lambda host: host.calls),
        hosts_in_all=hosts_in_all,
        failures=failures[:REASONS],
        failures_in_all=len(failures),
    )


def _host_sums(db: sqlite3.Connection, statuses: Counter[int]) -> Iterator[HostSum]:
    """Each host once; its groups come one after the other. statuses: counted on the way."""
    each: HostSum | None = None
    for host, outcome, status, count, size, elapsed_ms, timed in db.execute(_CALLS):
        if each is None or each.host != (host or ""):
            if each is not None:
                yield each
            each = HostSum(host or "")
        each.outcomes[outcome] += count
        each.bytes += size or 0
        each.elapsed_ms += elapsed_ms or 0
        each.timed += timed
        if status is not None and outcome not in NOT_A_CALL:
            statuses[status] += count
    if each is not None:
        yield each


def _failures(db: sqlite3.Connection, run: dict[str, Any]) -> Iterator[Failure]:
    """The largest group first; examples of those alone that are shown."""
    groups = [*db.execute(_FAILED), *(("invalid", None, *group) for group in db.execute(_INVALID))]
    groups.sort(key=lambda group: -group[3])
    for number, (outcome, status, _, count, example) in enumerate(groups):
        if number >= REASONS:
            yield Failure(
                outcome=outcome, status=status, count=count, line=None, url="", error="", location=None, curl=None
            )
            continue
        line, url, error, location, request, body = db.execute(_EXAMPLE, (example,)).fetchone()
        yield Failure(
            outcome=outcome, status=status, count=count, line=line, url=(url or "")[:TEXT_CHARS],
            error=(error or "")[:TEXT_CHARS], location=location,
            curl=None if request is None else curl_command(
                json.loads(request), body, headers=_pairs(run, "headers"), params=_pairs(run, "params"),
                timeout_s=run["arguments"].get("timeout"),
            ),
        )  # fmt: skip


def _pairs(run: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """The pairs of `headers` or `params`, as far as the ledger tells them."""
    try:
        return [(str(key), str(value)) for key, value in json.loads(run["arguments"].get(name) or "{}").items()]
    except (TypeError, ValueError, AttributeError):
        return []


def _reason(error: str | None) -> str:
    """An error without what differs from call to call, so that equal failures are one group."""
    return _DETAIL.sub("#", (error or "")[:TEXT_CHARS])
