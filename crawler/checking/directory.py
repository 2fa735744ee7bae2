"""The whole directory: its units shared out among processes, the ledger asked whether it is whole itself.

The caller holds the directory's lock, so that nothing changes meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from crawler.checking.findings import Finding, Kind
from crawler.checking.packed import RowRange, check_parts, check_ranges, row_ranges
from crawler.checking.unit import Checked, Unit, check_units, prefixes, strays
from crawler.store.objects.address import store_of
from crawler.store.reading import identity, levels_of, open_ledger
from crawler.store.stores import open_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

FOUND: Final = 9
"""Exit code of `scrapy verify` when something is not as the ledger says; beside those of accounting.ExitCode."""

ALONE: Final = 1000
"""Records up to which starting processes costs more than it saves."""

BATCH: Final = 4
"""Units a process is given at once: of 256, so that all are busy to the end, and a connection is opened 64 times."""

NAMES: Final = 10_000
"""Records of the units of an object store that are checked at once, unless one has more: their names are in memory
(3 MB), and nobody is told how far it is before they are read (6 s)."""


@dataclass(slots=True)
class Progress:
    """How far a check has come. total: records of the ledger. wrong: findings so far. idle: lines that no row names."""

    total: int = 0
    records: int = 0
    files: int = 0
    bytes: int = 0
    idle: int = 0
    wrong: Counter[Kind] = field(default_factory=Counter)


U = TypeVar("U", Unit, RowRange)

Tell: TypeAlias = "Callable[[Progress], None]"


@dataclass(slots=True)
class Check:
    """A check of an output directory. jobs: processes, None for one a core. progress: after `findings`, the sums."""

    out: Path
    jobs: int | None = None
    tell: Tell = lambda _progress: None
    progress: Progress = field(default_factory=Progress)

    def findings(self, names: Collection[str] | None = None) -> Iterator[Finding]:
        """Everything that is wrong. names: look only where these belong. Raises OtherListError, StoreError."""
        with open_ledger(self.out) as db:
            known = identity(db)
            self.progress.total = db.execute("SELECT count(*) FROM calls WHERE uuid8 IS NOT NULL").fetchone()[0]
            problems = [text for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
            ranges = row_ranges(self.out, db) if "pack" in known else None
        raw, levels = known.get("save") == "raw", levels_of(known)
        for text in problems:
            yield self._count(Finding(Kind.LEDGER, None, text))
        if ranges is not None:
            yield from self._packed(ranges)
            return
        with closing(open_tree(self.out)) as tree:
            orphans = list(strays(tree, levels))
        begins = prefixes(levels)
        units = [
            Unit(str(self.out), prefix, raw, levels)
            for prefix in begins
            if names is None or any(name.startswith(prefix) for name in names)
        ]
        size = BATCH if store_of(self.out) is None else afar(len(begins), self.progress.total)
        for checked in self._each(units, check_units, size):
            orphans += checked.orphans
            yield from self._add(checked)
        for location in self._unclaimed(orphans):
            yield self._count(Finding(Kind.ORPHAN, location, "no row names it"))

    def _packed(self, ranges: list[RowRange]) -> Iterator[Finding]:
        live: Counter[str] = Counter()
        broken: set[str] = set()
        for checked in self._each(ranges, check_ranges):
            live += checked.live
            broken.update((finding.location or "").partition("#")[0] for finding in checked.findings)
            yield from self._add(checked)
        with open_ledger(self.out) as db:
            for idle, finding in check_parts(self.out, db, live, broken):
                self.progress.files += 1
                self.progress.idle += idle
                if finding is not None:
                    yield self._count(finding)

    def _add(self, checked: Checked) -> Iterator[Finding]:
        self.progress.records += checked.records
        self.progress.files += checked.files
        self.progress.bytes += checked.bytes
        yield from map(self._count, checked.findings)
        self.tell(self.progress)

    def _count(self, finding: Finding) -> Finding:
        self.progress.wrong[finding.kind] += 1
        return finding

    def _each(self, units: list[U], check: Callable[[list[U]], list[Checked]], size: int = BATCH) -> Iterator[Checked]:
        """size: of a batch, in units."""
        jobs = min(self.jobs or os.cpu_count() or 1, len(units))
        if store_of(self.out) is not None:  # one process has as many requests under way as a store likes
            jobs = 1
        if not units:
            return
        batches = [units[at : at + size] for at in range(0, len(units), size)]
        if jobs == 1 or (self.jobs is None and self.progress.total <= ALONE):
            for batch in batches:
                yield from check(batch)
            return
        # fork: the workers need nothing that is not here already; elsewhere it is not safe.
        context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            for found in pool.map(check, batches):
                yield from found

    def _unclaimed(self, orphans: list[str]) -> list[str]:
        """Those that not even a row with a changed name names: its file is none to be thrown away."""
        left = set(orphans)
        if left:
            with open_ledger(self.out) as db:
                for (location,) in db.execute("SELECT location FROM calls WHERE location IS NOT NULL"):
                    left.discard(location)
        return sorted(left)


def afar(units: int, records: int) -> int:
    """How many of so many units, that have so many records, are checked at once in an object store.

    Their folders are listed at once: 512 of them one by one take 15 s, at 30 ms each.
    """
    return max(1, min(units, units * NAMES // max(1, records)))
