"""Records change hands: what a directory's other ledgers hold of this run's part comes into its own.

So that a list can be taken in other parts than before, or whole again: whoever runs next finds in one ledger
what is done of its lines. Copied in one commit, then removed where it was in another one; a kill between the
two leaves both, and the next run takes the copy for what it is. Rows that a killed run left half-done come as
they are, and are mended with the run's own. Called while nobody else opens the directory
and no part of another number runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.items import MASK, Shard
from crawler.store.calls import COLUMNS
from crawler.store.changes import CHANGES
from crawler.store.exports import FAILED, INVALID, METRICS, SUMMARY
from crawler.store.ledger import Ledger
from crawler.store.ledgers import ledgers
from crawler.store.place import LOCK

if TYPE_CHECKING:
    from pathlib import Path

_PART: Final = f"parent IS NULL AND uuid8 IS NOT NULL AND (uuid8 & {MASK}) % :count = :number - 1"
"""What `Shard.owns` says of a line's row. Pages go with the line that led to them, whatever their names."""

_IS_HERE: Final = "EXISTS (SELECT 1 FROM main.calls h WHERE h.uuid8 = c.uuid8 AND h.uuid = c.uuid)"
"""A copy that a kill left in both; or a page to which lines of two parts led, which one row is enough for."""

_TREE: Final = """
WITH RECURSIVE tree (id) AS (
    SELECT id FROM other.calls c WHERE {part} AND {wanted}
    UNION ALL SELECT c.id FROM tree JOIN other.calls c ON c.parent = tree.id WHERE {wanted}
) SELECT id FROM tree ORDER BY id
"""

_TABLES: Final = (
    "CREATE TEMP TABLE leaving (id INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE coming (new INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE)",  # new: from 1, in their order
    "CREATE TEMP TABLE renamed (old INTEGER PRIMARY KEY, new INTEGER)",  # lists
)

_MOVED: Final = {
    "run": "c.run + :runs",
    "checked": "0",  # a redo of ours that is under way has not seen them
    "list": "(SELECT new FROM renamed WHERE old = c.list)",
    "parent": "(SELECT new + :rows FROM coming WHERE id = c.parent)",
}
_RUN: Final = ("arguments", "versions", "durability", "boot_id", "redo", "stop_reason", "exit_code", "summary")

# Text of our own throughout.
_CALLS: Final = f"""
INSERT INTO main.calls (id, {", ".join(COLUMNS)})
SELECT k.new + :rows, {", ".join(_MOVED.get(name, f"c.{name}") for name in COLUMNS)}
FROM coming k JOIN other.calls c ON c.id = k.id
"""  # noqa: S608
_REQUESTS: Final = """
INSERT OR REPLACE INTO main.requests
SELECT k.new + :rows, r.request, r.body FROM coming k JOIN other.requests r ON r.record = k.id
"""
_CHANGES: Final = """
INSERT OR REPLACE INTO main.changes
SELECT k.new + :rows, h.change, h.status, h.before FROM coming k JOIN other.changes h ON h.record = k.id
"""
_PACKS: Final = """
INSERT INTO main.packs SELECT * FROM other.packs WHERE 1
ON CONFLICT (name) DO UPDATE SET closed = max(closed, excluded.closed)
"""
# A redo that was under way begins anew: it had been through a part of the list that is nobody's now.
_RUNS: Final = f"""
INSERT INTO main.runs (id, list, started_at, ended_at, redo_base, redo_done, {", ".join(_RUN)})
SELECT r.id + :runs, (SELECT new FROM renamed WHERE old = r.list), r.started_at, r.ended_at,
    r.redo_base + :runs, 1, {", ".join(f"r.{name}" for name in _RUN)}
FROM other.runs r
"""  # noqa: S608
_TIMELINE: Final = """
INSERT INTO main.timeline
SELECT run + :runs, second, calls, ok, refused, retries, rests, bytes, latency, limit_ FROM other.timeline
"""


class Gathering:
    """What happens once, when a run opens."""

    def __init__(self, ledger: Ledger, directory: Path, shard: Shard) -> None:
        """ledger: the run's own."""
        self._ledger = ledger
        self._directory = directory
        self._shard = shard

    def gather(self, *, keep: str) -> dict[Shard, int]:
        """Take over what is this part's; give the number of records by the part they were in. Raises StoreError.

        keep: the path of a file that must stay, the list.
        """
        gathered = {}
        for other, path in ledgers(self._directory).items():
            if other.count != self._shard.count:
                Ledger(self._directory, durable=True, name=path.name).close()  # it may be an older version's
                with self._ledger.beside(path):
                    taken, is_empty = self._take_over()
                if taken:
                    gathered[other] = taken
                if is_empty:
                    self._remove(other, path, keep)
        return gathered

    def _take_over(self) -> tuple[int, bool]:
        """Give how many records came, and whether none is left."""
        ledger = self._ledger
        with ledger.transaction():  # made of the list alone, and made anew by whoever reads the line
            ledger.write("DELETE FROM other.calls WHERE parent IS NULL AND uuid8 IS NULL")
        for table in _TABLES:
            ledger.write(table)
        try:
            return self._copy_and_remove()
        finally:
            for name in ("leaving", "coming", "renamed"):
                ledger.write(f"DROP TABLE temp.{name}")

    def _copy_and_remove(self) -> tuple[int, bool]:
        ledger = self._ledger
        part = {"number": self._shard.number, "count": self._shard.count}
        wanted = f"(c.uuid8 IS NULL OR NOT {_IS_HERE})"
        ledger.write(f"INSERT INTO leaving {_TREE.format(part=_PART, wanted='1')}", part)
        ledger.write(f"INSERT INTO coming (id) {_TREE.format(part=_PART, wanted=wanted)}", part)
        count = "SELECT (SELECT count(*) FROM coming), NOT EXISTS (SELECT 1 FROM other.calls c WHERE {left})"
        ((taken, is_empty),) = ledger.written(count.format(left="c.id NOT IN (SELECT id FROM leaving)"))
        if taken or is_empty:
            self._copy(with_timeline=bool(is_empty))
        with ledger.transaction():
            ledger.write("DELETE FROM other.calls WHERE id IN (SELECT id FROM leaving)")
            ledger.write("DELETE FROM other.requests WHERE record IN (SELECT id FROM leaving)")
            ledger.write("DELETE FROM other.changes WHERE record IN (SELECT id FROM leaving)")
            if is_empty:  # so that a kill before the file is gone does not copy them twice
                ledger.write("DELETE FROM other.runs")
                ledger.write("DELETE FROM other.timeline")
        return taken, bool(is_empty)

    def _copy(self, *, with_timeline: bool) -> None:
        ledger = self._ledger
        largest = "SELECT (SELECT coalesce(max(id), 0) FROM main.calls), (SELECT coalesce(max(id), 0) FROM main.runs)"
        ((rows, earlier_runs),) = ledger.written(largest)
        with ledger.transaction():
            self._rename_lists()
            for sql in (_CALLS, _REQUESTS, _CHANGES, _PACKS, _RUNS, *([_TIMELINE] if with_timeline else [])):
                ledger.write(sql, {"rows": rows, "runs": earlier_runs})

    def _rename_lists(self) -> None:
        """Find their lists among ours; the rows of one that we know otherwise than they do are found by their names."""
        ledger = self._ledger
        known = set(ledger.written("SELECT path FROM main.lists"))
        for old, path, print_ in ledger.written("SELECT id, path, fingerprint FROM other.lists ORDER BY id"):
            same = "SELECT max(id) FROM main.lists WHERE path = ? AND fingerprint IS ?"
            ((new,),) = ledger.written(same, (path, print_))
            if new is None and (path,) not in known:
                new = ledger.write("INSERT INTO main.lists (path, fingerprint) VALUES (?, ?)", (path, print_))
            ledger.write("INSERT INTO renamed VALUES (?, ?)", (old, new))

    def _remove(self, other: Shard, path: Path, keep: str) -> None:
        """Remove an empty ledger and what was written from it; the log stays."""
        for name in map(other.file, (FAILED, INVALID, CHANGES, SUMMARY, METRICS)):
            if str((self._directory / name).resolve()) != keep:
                (self._directory / name).unlink(missing_ok=True)
        for ending in ("-wal", "-shm", ""):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        if other.is_part:  # the whole's is the door
            (self._directory / other.file(LOCK)).unlink(missing_ok=True)
