"""Servers that may go and come back: which one takes a part, and what a job's log says of its end. Decides alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.items import Shard

GONE: Final = 3
"""Questions in a row without an answer after which a server is gone: one or two are a restart, or a lost packet."""

_END: Final = re.compile(
    r"^(?P<line>.*?Exit code (?P<code>[0-9]{1,3}): (?:.*?)(?: \((?P<reason>[\w-]+)\))?(?:\. Results: (?P<out>.*))?)$",
    re.MULTILINE,
)


@dataclass(slots=True)
class Node:
    """What is known of a server. misses: questions in a row without an answer. shards: parts that it has now."""

    misses: int = 0
    shards: set[Shard] = field(default_factory=set)

    @property
    def is_gone(self) -> bool:
        return self.misses >= GONE


def choose(nodes: Sequence[Node], shard: Shard) -> int | None:
    """Give the place of the one that takes a part; None when all are gone.

    Each part has a home, so that the same command finds there what an earlier one left. When its home is gone, it goes
    to whichever has least to do.
    """
    home = (shard.number - 1) % len(nodes)
    if not nodes[home].is_gone:
        return home
    there = [place for place, node in enumerate(nodes) if not node.is_gone]
    return min(there, key=lambda place: len(nodes[place].shards), default=None)


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended, by its own log. line: where it says so. out: its directory; None where it was refused."""

    line: str
    exit_code: int
    stop_reason: str | None
    out: str | None


def end_of(log: str) -> End | None:
    """Give the end that a log tells of; None while there is none, or when the job was killed."""
    found = None
    for found in _END.finditer(log):  # noqa: B007  # the last one
        pass
    if found is None:
        return None
    return End(found["line"], int(found["code"]), found["reason"], found["out"])
