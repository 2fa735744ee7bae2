"""What can be wrong with an output directory: the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What is wrong."""

    ALTERED = "altered"  # the file is not the one that was written: changed, cut, or no file at all
    MISSING = "missing"  # a row names a file that is not there
    ORPHAN = "orphan"  # a file that no row names
    TORN = "torn"  # a part that ends with what no commit covers
    CHANGED = "changed"  # the file is whole, and its row says something else
    LEDGER = "ledger"  # SQLite finds the ledger itself damaged


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    row: the ledger's, None for an orphan; uuid: its name. location: the file, below the output directory.
    detail: for a person.
    restored: columns and values that mend the row, where a whole file proves them; None: fetch it again.
    """

    kind: Kind
    location: str | None
    detail: str
    row: int | None = None
    uuid: str = ""
    url: str | None = None
    restored: Mapping[str, Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it is about: the row's, and that of the file."""
        file = (self.location or "").rpartition("/")[2]
        return tuple(filter(None, (self.uuid, file)))
