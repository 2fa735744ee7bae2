"""A unit of work: the rows whose names begin alike, and the folders in which their files belong.

A process checks some, one after the other, with a connection of its own. What it has to hold in memory is a 256th of
all names, whatever the size of the directory; of an object store those of all units that it is given.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.checking.findings import Finding, Kind
from crawler.checking.record import COLUMNS, Row, compare
from crawler.exceptions import BodyError
from crawler.items import Outcome
from crawler.store.files import ERRORS, LOCATION, RESPONSES, STAGED
from crawler.store.reading import open_ledger
from crawler.store.schema import State
from crawler.store.stores import open_tree

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from crawler.store.bodies import Tree

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

    def note(self, finding: Finding | None) -> None:
        if finding is not None:
            self.findings.append(finding)


def prefixes(levels: int) -> list[str]:
    """How names begin: a folder's each; without folders fewer, since each unit then looks at all names."""
    return [f"{n:02x}" for n in range(256)] if levels else [f"{n:x}" for n in range(16)]


def check_units(units: Sequence[Unit]) -> list[Checked]:
    """Check units of one directory. Folders are listed, and files read, ahead where that saves waiting.

    Raises StoreError.
    """
    out = Path(units[0].out)
    found = []
    with open_ledger(out) as db, closing(open_tree(out)) as tree:
        waiting: deque[tuple[Unit, Checked, Row, str]] = deque()

        def names() -> Iterator[str]:
            for unit, present in zip(units, tree.each(partial(_listed, tree), units), strict=True):
                looking = _Looking(unit, tree, present)
                found.append(looking.checked)
                for row in _rows(db, unit):
                    if (name := looking.find(row)) is not None:
                        waiting.append((unit, looking.checked, row, name))
                        yield name
                looking.checked.orphans = sorted(present - looking.claimed)

        for data in tree.read_all(names()):
            _compare(*waiting.popleft(), data)
    return found


def _rows(db: sqlite3.Connection, unit: Unit) -> Iterator[Row]:
    low, high = (
        int.from_bytes(bytes.fromhex(unit.prefix.ljust(16, digit)), "big", signed=True) for digit in ("0", "f")
    )
    return (Row(dict(zip(COLUMNS, values, strict=True))) for values in db.execute(_SQL, (low, high)))


class _Looking:
    """Looks for the files of rows.

    present: what lies in the unit's folders; claimed: what rows name of it, or are about to replace.
    """

    def __init__(self, unit: Unit, tree: Tree, present: set[str]) -> None:
        self._unit = unit
        self._tree = tree
        self._present = present
        self.claimed: set[str] = set()
        self.checked = Checked()

    def find(self, row: Row) -> str | None:
        """The name of the row's file, where it has one that is to be read."""
        place, expected, other = row["location"], *row.expected(self._unit.levels)
        if row.is_open:  # its file, if it has one, is about to be replaced
            self.claimed.update((place, f"{place}{STAGED}", expected, other))
            return None
        self.checked.records += 1
        names = [place, expected, other]
        if place is None and row["file_digest"] is None:  # it never had a file; what lies there is a killed run's
            names = []
        if row["state"] == State.STAGED:  # a killed run's: the next one moves the new file into place
            self.claimed.update((expected, f"{expected}{STAGED}", other))
            names = [f"{place}{STAGED}", place]
        found = next((name for name in names if name is not None and self._is_there(name)), None)
        if found is None:
            self.checked.note(without_a_file(row))
        else:
            self.claimed.add(found)
        return found

    def _is_there(self, name: str) -> bool:
        """Whether a file is there; one of another unit, too, should the row's own name have been changed."""
        if name.rpartition("/")[2].startswith(self._unit.prefix):
            return name in self._present
        return LOCATION.fullmatch(name) is not None and self._tree.is_there(name)


def _compare(unit: Unit, checked: Checked, row: Row, found: str, data: bytes | BodyError) -> None:
    if isinstance(data, BodyError):
        checked.note(row.found(Kind.ALTERED, str(data), place=found))
        return
    checked.files += 1
    checked.bytes += len(data)
    checked.note(compare(row, data, found.removesuffix(STAGED), raw=unit.raw, levels=unit.levels))


def without_a_file(row: Row) -> Finding | None:
    if row["outcome"] not in _OUTCOMES:
        return row.found(Kind.CHANGED, f"no record has the outcome {row['outcome']!r}")
    if row["location"] is not None:
        return row.found(Kind.MISSING, "the file is not there")
    if row["outcome"] == Outcome.OK:
        return row.found(Kind.CHANGED, "it is ok, but names no file")
    return None


def _listed(tree: Tree, unit: Unit) -> set[str]:
    """Everything that lies where the unit's files belong, as locations."""
    names: set[str] = set()
    for top in TREES:
        begin = f"{top}/{unit.prefix}"
        names.update(name for name in tree.below(begin if unit.levels else top) if name.startswith(begin))
    return names


def strays(tree: Tree, levels: int) -> Iterator[str]:
    """What lies in the trees where no unit looks."""
    begins = prefixes(levels)
    for top in TREES:
        if not levels:  # a folder of millions, which is gone through as it is read
            yield from (name for name in tree.below(top) if name[len(top) + 1 :][:1] not in begins)
            continue
        folders, others = tree.entries(top)
        yield from others
        for folder in folders:
            if folder[len(top) + 1 :] not in begins:
                yield from tree.below(folder)
