"""What a page is about: one run, or the runs of parts that were on together, told as one.

Owns which runs those are, their seconds as one curve, and what kept all of them from being faster.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from crawler.meter import Limit, why_of_all
from crawler.report.curve import Curve, curve
from crawler.store.reading import object_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TOGETHER_S: Final = 60
"""Parts that were on at one time are told as one, and so are those between which no more than this has passed: they may
come one after the other, and one that was killed is started again."""

_RUN: Final = "id, started_at, ended_at, arguments, versions, durability, redo, stop_reason, exit_code, summary"
_SHARD: Final = "json_extract(arguments, '$.shard')"

# Text of our own throughout. By the time, not by the number: parts that are brought together come ledger by ledger.
_LATEST: Final = f"""
SELECT {_RUN} FROM runs WHERE coalesce(id = :run, 1)
ORDER BY id IN (SELECT run FROM timeline) DESC, started_at DESC, id DESC LIMIT 1
"""  # noqa: S608
_SPANS: Final = f"""
SELECT (SELECT min(second) FROM timeline WHERE run = id), (SELECT max(second) FROM timeline WHERE run = id), id
FROM runs WHERE {_SHARD} LIKE '%/' || ? AND id IN (SELECT run FROM timeline) ORDER BY 1
"""  # noqa: S608
_WHOLE_AFTER: Final = f"""
SELECT {_RUN} FROM runs WHERE {_SHARD} IS NULL AND started_at >= ? ORDER BY started_at, id LIMIT 1
"""  # noqa: S608
_LAST_BEFORE: Final = f"""
SELECT {_RUN} FROM runs WHERE started_at < ? AND ({_SHARD} IS NULL OR id IN (SELECT run FROM timeline))
ORDER BY started_at DESC, id DESC LIMIT 1
"""  # noqa: S608
_OF_EACH: Final = """
SELECT run, min(second), max(second) FROM timeline WHERE run IN (SELECT value FROM json_each(?)) GROUP BY run
"""
_SECONDS: Final = """
SELECT run, second, calls, ok, refused, retries, rests, bytes, latency, limit_ FROM timeline
WHERE run IN (SELECT value FROM json_each(?)) ORDER BY second
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """run: the row of the run whose end the page tells. parts: those of parts whose calls it shows; none: its own."""

    run: dict[str, Any]
    parts: Sequence[dict[str, Any]] = ()

    @property
    def runs(self) -> Sequence[dict[str, Any]]:
        """Those that made the calls."""
        return self.parts or (self.run,)

    @property
    def ids(self) -> set[int]:
        return {self.run["id"], *(each["id"] for each in self.parts)}

    @property
    def began(self) -> str:
        return str(min(each["started_at"] for each in self.runs))

    @property
    def ended(self) -> str | None:
        """None: it still runs, or it was killed; the last of several parts says when they ended."""
        return max((each["ended_at"] for each in self.runs if each["ended_at"]), default=None)

    def work(self, at: Curve | None) -> dict[str, Any] | None:
        """The numbers of its own work, as `run` in summary.json: seconds, calls_per_s, kept. None: nobody counted.

        at: its curve, which knows also what a part did that was killed.
        """
        counted = [each["summary"]["run"] for each in self.runs if "run" in each["summary"]]
        if not self.parts:
            return counted[0] if counted else None
        if at is None or self.ended is None:
            return None
        seconds = (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)).total_seconds()
        speed = at.sums["calls"] / seconds if seconds else 0.0
        return {"seconds": seconds, "calls_per_s": speed, "kept": sum(each["kept"] for each in counted)}

    def bottleneck(self) -> dict[str, Any] | None:
        """As in summary.json; of several parts, the shares of all their time."""
        found = [each["summary"] for each in self.runs if each["summary"].get("bottleneck")]
        if not self.parts or not found:
            return found[0]["bottleneck"] if found else None
        shares: Counter[str] = Counter()
        for summary in found:
            for name, share in summary["bottleneck"]["shares"].items():
                shares[name] += share * summary["run"]["seconds"]
        total_s = shares.total() or 1.0
        last = {shard_of(each): each["summary"] for each in self.parts}  # of a part that was started again
        limits = [Limit(summary["bottleneck"]["limit"]) for summary in last.values() if summary.get("bottleneck")]
        said = why_of_all(limits, len(last))
        return {
            "sentence": said.sentence if said else "",
            "shares": {name: seconds / total_s for name, seconds in shares.most_common()},
        }


def choose(db: sqlite3.Connection, run: int | None) -> Shown | None:
    """Say what the page is about. run: its number; None: the latest that made calls, else the latest; None: no run.

    A run of a part is told with the parts that were on with it, and so is the one that brought them together. Of these
    the page tells the end.
    """
    found = db.execute(_LATEST, {"run": run}).fetchone()
    if found is None:
        return None
    row = as_row(found)
    part = row if shard_of(row) else _brought_together(db, row)
    if part is None:
        return Shown(run=row)
    ids = _together(db, part)
    sql = f"SELECT {_RUN} FROM runs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY started_at, id"  # noqa: S608
    parts = [as_row(each) for each in db.execute(sql, (json.dumps(ids),))]
    whole = db.execute(_WHOLE_AFTER, (parts[-1]["started_at"],)).fetchone()
    return Shown(run=row if whole is None else as_row(whole), parts=parts)


def latest(db: sqlite3.Connection, count: int) -> list[dict[str, Any]]:
    """The rows of the latest runs, newest first."""
    sql = f"SELECT {_RUN} FROM runs ORDER BY started_at DESC, id DESC LIMIT ?"  # noqa: S608
    return [as_row(each) for each in db.execute(sql, (count,))]


def as_row(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of `runs` by the names of its columns, JSON read. Raises StoreError for one that no run wrote so."""
    known = dict(zip(_RUN.split(", "), row, strict=True))
    for name in ("arguments", "versions", "summary"):
        known[name] = object_of(known[name], f"{name} of run {known['id']}")
    return known


def shard_of(run: Mapping[str, Any]) -> str | None:
    """Its part, as `1/2`; None: the whole list was its."""
    said = run["arguments"].get("shard")
    return None if said is None else str(said)


def curve_of(db: sqlite3.Connection, shown: Shown) -> Curve | None:
    """All its calls; None when there were none."""
    ids = json.dumps([each["id"] for each in shown.runs])
    spans = {run: (begin, end) for run, begin, end in db.execute(_OF_EACH, (ids,))}
    if not spans:
        return None
    begin, end = min(begin for begin, _ in spans.values()), max(end for _, end in spans.values())
    rows = db.execute(_SECONDS, (ids,))
    return curve(_with_all_limits(rows, {run: end for run, (_, end) in spans.items()}), begin, end)


def _with_all_limits(rows: Iterable[tuple[Any, ...]], ends: Mapping[int, int]) -> Iterator[tuple[Any, ...]]:
    """Rows of several runs without their number, each with the limit of all that were on in that second.

    A run has no row for a second in which nothing of it ended: its limit is then what it was.
    """
    going = sorted(((end, run) for run, end in ends.items()), reverse=True)
    limits: dict[int, int] = {}
    for run, second, *counts, limit in rows:
        while going[-1][0] < second:
            limits.pop(going.pop()[1])
        limits[run] = limit or 0
        yield (second, *counts, sum(limits.values()))


def _brought_together(db: sqlite3.Connection, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last of the parts that *row* brought together; None where it made calls of its own, or there were none."""
    (has_calls,) = db.execute("SELECT EXISTS (SELECT 1 FROM timeline WHERE run = ?)", (row["id"],)).fetchone()
    before = None if has_calls else db.execute(_LAST_BEFORE, (row["started_at"],)).fetchone()
    last = None if before is None else as_row(before)
    return last if last is not None and shard_of(last) else None


def _together(db: sqlite3.Connection, part: Mapping[str, Any]) -> list[int]:
    """The runs of parts of the same number that were on with it, itself included."""
    group: list[int] = []
    until = 0
    for begin, end, run in db.execute(_SPANS, ((shard_of(part) or "").partition("/")[2],)):
        if group and begin > until + TOGETHER_S:
            if part["id"] in group:
                break
            group, until = [], 0
        group.append(run)
        until = max(until, end)
    return group if part["id"] in group else [part["id"]]
