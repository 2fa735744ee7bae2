"""Which part of a list: `3/8`, or what the environment of a Kubernetes indexed Job says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from crawler.items import Shard
from crawler.values.kinds import WHOLE, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 10_000
"""Parts: each of them reads the whole list."""

INDEX: Final = "JOB_COMPLETION_INDEX"
"""What Kubernetes tells each Pod of an indexed Job: its number, from 0."""

COUNT: Final = "JOB_COMPLETION_COUNT"
"""What Kubernetes tells nobody, so that the Job's manifest has to: how many there are."""

UNKNOWN: Final = 0
"""A number, or a count, that is still to be found in the environment."""

_WORDS: Final = re.compile(r"(?:auto|(?P<number>[0-9]{1,6})/[0-9]{1,6}|auto/[0-9]{1,6})")


def _shard(value: object) -> Shard:
    if isinstance(value, Shard):
        return value
    if not isinstance(value, str) or not _WORDS.fullmatch(value):
        raise ValueError
    first, _, last = value.partition("/")
    shard = Shard(UNKNOWN if first == "auto" else int(first), int(last) if last else UNKNOWN)
    if last and not 1 <= shard.count <= MOST:
        raise ValueError
    if first != "auto" and not 1 <= shard.number <= shard.count:
        raise ValueError
    return shard


SHARD: Final = Kind(_shard, f"i/n, such as 3/8, i from 1 to n and n at most {MOST:,}, or auto, or auto/n")


def find_shard(shard: Shard, environ: Mapping[str, str]) -> Shard:
    """Give the part with its number and count. Raises ValueError, saying what the environment should hold."""
    count = shard.count or _number(environ, COUNT, 1, MOST, "how many parts there are; or say auto/n")
    if shard.number != UNKNOWN:
        return shard
    number = _number(environ, INDEX, 0, count - 1, "as in a Kubernetes indexed Job; or say i/n")
    return Shard(number + 1, count)


def _number(environ: Mapping[str, str], name: str, low: int, high: int, why: str) -> int:
    said = environ.get(name, "")
    if not WHOLE.fullmatch(said) or not low <= int(said) <= high:
        found = f", not {said!r}" if said else ""
        raise ValueError(f"{name} in the environment, a whole number from {low} to {high}{found}: {why}")
    return int(said)
