"""A part of a list: the lines whose records' names fall into it, wherever they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Self

from crawler.items.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.items.entry import BadLine

MASK: Final = 2**63 - 1
"""What SQLite's integers can hold of a name's first 8 bytes without a sign, so that a query can ask the same."""

_PART: Final = re.compile(r"-(?P<number>[0-9]{1,6})-of-(?P<count>[0-9]{1,6})$")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part *number*, from 1, of *count*. Names are hashes, so parts are alike in size, whatever the list's order."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_part(self) -> bool:
        """Whether there are other parts."""
        return self.count > 1

    def owns(self, line: Entry | BadLine) -> bool:
        """Whether the line is of this part. One that cannot be read has no name: its number decides."""
        key = int.from_bytes(line.uuid[:8], "big") & MASK if isinstance(line, Entry) else line.line
        return key % self.count == self.number - 1

    def file(self, name: str) -> str:
        """What a file of a run is called in the directory that all parts share: `summary-3-of-8.json`."""
        stem, dot, ending = name.partition(".")
        return f"{stem}-{self.number}-of-{self.count}{dot}{ending}" if self.is_part else name

    @classmethod
    def of_file(cls, found: str, name: str) -> Self | None:
        """The part whose file, of those called *name*, is called *found*; None when it is none of them."""
        if found == name:
            return cls(1, 1)
        part = _PART.search(PurePath(found).stem)
        shard = cls(int(part["number"]), int(part["count"])) if part else None
        return shard if shard is not None and shard.file(name) == found else None

    @classmethod
    def among(cls, found: Iterable[str], name: str) -> list[Self]:
        """The parts that have a file called *name* among *found*, in order: those of fewer parts first."""
        parts = (cls.of_file(each, name) for each in found)
        return sorted((part for part in parts if part is not None), key=lambda part: (part.count, part.number))


WHOLE: Final = Shard(1, 1)
"""The whole list: what a run takes unless it is told otherwise."""
