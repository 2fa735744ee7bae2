"""A unit of work: the rows whose names begin alike, and the folders in which their files belong.

A process checks it by itself, with a connection of its own. What it has to hold in memory is a 256th of all
names, whatever the size of the directory.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.checking.findings import Finding, Kind
from crawler.checking.record import COLUMNS, Row, compare
from crawler.exceptions import BodyError
from crawler.items import Outcome
from crawler.store.files import ERRORS, LOCATION, RESPONSES, STAGED, FileReader
from crawler.store.reading import open_ledger
from crawler.store.schema import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TREES: Final = (RESPONSES, ERRORS)
_SQL: Final = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE uuid8 BETWEEN ? AND ? ORDER BY uuid8"  # noqa: S608  # ours
_OUTCOMES: Final = frozenset(Outcome)


@dataclass(frozen=True, slots=True)
class Unit:
    """prefix: how the names begin, in hex. raw: bodies alone. levels: of folders."""

    out: str
    prefix: str
    raw: bool
    levels: int


@dataclass(slots=True)
class Checked:
    """What came out. records: rows with an outcome. bytes: of the files that were read. live: rows by part."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    live: Counter[str] = field(default_factory=Counter)


def prefixes(levels: int) -> list[str]:
    """How names begin: a folder's each; without folders fewer, since each unit then looks at all names."""
    return [f"{n:02x}" for n in range(256)] if levels else [f"{n:x}" for n in range(16)]


def check_units(units: Sequence[Unit]) -> Iterator[Checked]:
    """Check units of one directory, one after the other. Raises StoreError."""
    with open_ledger(Path(units[0].out)) as db:
        for unit in units:
            checker = _Checker(unit)
            low = int.from_bytes(bytes.fromhex(unit.prefix.ljust(16, "0")), "big", signed=True)
            high = int.from_bytes(bytes.fromhex(unit.prefix.ljust(16, "f")), "big", signed=True)
            for values in db.execute(_SQL, (low, high)):
                checker.check(Row(dict(zip(COLUMNS, values, strict=True))))
            checker.checked.orphans = sorted(checker.present - checker.claimed)
            yield checker.checked


def check_batch(units: Sequence[Unit]) -> list[Checked]:
    """The same as a list, which can leave a process."""
    return list(check_units(units))


class _Checker:
    """present: what lies in the unit's folders; claimed: what rows name of it, or are about to replace."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._out = Path(unit.out)
        self._files = FileReader(self._out)
        self.present = set(_listed(self._out, unit))
        self.claimed: set[str] = set()
        self.checked = Checked()

    def check(self, row: Row) -> None:
        place, expected, other = row["location"], *row.expected(self._unit.levels)
        if row.is_open:  # its file, if it has one, is about to be replaced
            self.claimed.update((place, f"{place}{STAGED}", expected, other))
            return
        self.checked.records += 1
        names = [place, expected, other]
        if place is None and row["file_digest"] is None:  # it never had a file; what lies there is a killed run's
            names = []
        if row["state"] == State.STAGED:  # a killed run's: the next one moves the new file into place
            self.claimed.update((expected, f"{expected}{STAGED}", other))
            names = [f"{place}{STAGED}", place]
        found = next((name for name in names if name is not None and self._is_there(name)), None)
        finding = self._compare(row, found) if found is not None else without_a_file(row)
        if finding is not None:
            self.checked.findings.append(finding)

    def _is_there(self, name: str) -> bool:
        """Whether a file is there; one of another unit, too, should the row's own name have been changed."""
        if name.rpartition("/")[2].startswith(self._unit.prefix):
            return name in self.present
        return LOCATION.fullmatch(name) is not None and (self._out / name).is_file()

    def _compare(self, row: Row, found: str) -> Finding | None:
        self.claimed.add(found)
        try:
            data = self._files.read(found)
        except BodyError as exc:
            return row.found(Kind.ALTERED, str(exc), place=found)
        self.checked.files += 1
        self.checked.bytes += len(data)
        return compare(row, data, found.removesuffix(STAGED), raw=self._unit.raw, levels=self._unit.levels)


def without_a_file(row: Row) -> Finding | None:
    if row["outcome"] not in _OUTCOMES:
        return row.found(Kind.CHANGED, f"no record has the outcome {row['outcome']!r}")
    if row["location"] is not None:
        return row.found(Kind.MISSING, "the file is not there")
    if row["outcome"] == Outcome.OK:
        return row.found(Kind.CHANGED, "it is ok, but names no file")
    return None


def _listed(out: Path, unit: Unit) -> Iterator[str]:
    """Everything that lies where the unit's files belong, as locations."""
    for tree in TREES:
        if unit.levels:
            yield from below(out, f"{tree}/{unit.prefix}")
        else:
            yield from (name for name in below(out, tree) if name.startswith(f"{tree}/{unit.prefix}"))


def below(out: Path, folder: str) -> Iterator[str]:
    """The names of all that is no folder, below one; nothing if it is not there or is no folder itself."""
    path = out / folder
    if not path.is_dir() or path.is_symlink():
        return
    with os.scandir(path) as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from below(out, name)
            else:
                yield name


def strays(out: Path, levels: int) -> Iterator[str]:
    """What lies in the trees where no unit looks."""
    for tree in TREES:
        path = out / tree
        if not path.is_dir() or path.is_symlink():
            continue
        with os.scandir(path) as entries:
            for entry in entries:
                name = f"{tree}/{entry.name}"
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name[: 2 if levels else 1] in prefixes(levels) and (
                    not levels or (is_folder and len(entry.name) == 2)
                ):
                    continue
                yield from below(out, name) if is_folder else (name,)
