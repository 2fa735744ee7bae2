"""What a list asks for: its calls, hosts, duplicates and bad lines, and what of it a ledger has already.

Owns one pass over the list, in memory that does not grow with it. Fetches nothing, and changes nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from crawler.items import IDEMPOTENT, WHOLE, BadLine
from crawler.sources import check_url
from crawler.store.bits import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.items import Entry, Shard
    from crawler.sources import Source
    from crawler.values import Hosts

EXACT: Final = 200_000
"""Names that are remembered as such, 20 MB of them; beyond, a filter takes one in 200 for another (store.bits)."""

HOSTS: Final = 10_000  # told apart; a list of more is no list of an API's calls
BAD: Final = 5  # bad lines that are shown
_BATCH: Final = 1000


class Verdict(Protocol):
    """What a ledger says of a call: None when it has none, else whether its record stands."""

    def __call__(self, uuid: bytes, /) -> bool | None: ...


@dataclass(slots=True)
class Counted:
    """lines = calls + duplicates + invalid + forbidden; calls = new + again + stands. elsewhere: lines of other parts.

    about: duplicates are counted nearly, not exactly. again: calls with a record that does not stand. bad: the
    first bad lines. sample: calls that may be made twice, drawn evenly of those still to be made.
    """

    lines: int = 0
    elsewhere: int = 0
    duplicates: int = 0
    about: bool = False
    invalid: int = 0
    forbidden: int = 0
    new: int = 0
    again: int = 0
    stands: int = 0
    hosts: Counter[str] = field(default_factory=Counter)
    other_hosts: int = 0
    bad: list[BadLine] = field(default_factory=list)
    sample: list[Entry] = field(default_factory=list)

    @property
    def to_make(self) -> int:
        """Calls that the run will make."""
        return self.new + self.again


def count(
    source: Source,
    *,
    verdict: Verdict,
    hosts: Hosts | None,
    repeats: bool,
    sample: int,
    tell: Callable[[Counted], None] = lambda _: None,
    shard: Shard = WHOLE,
) -> Counted:
    """Read the list to its end. repeats: a call for each line, as `duplicates=fetch` has it. sample: its size.

    tell: called now and then. shard: the part whose lines are counted, after all are read. Raises ListError.
    """
    counted = Counted()
    names = _Names()
    chance = random.Random(0)  # noqa: S311  # the same sample each time
    for item in _items(source, counted, tell):
        if shard.is_part and not shard.owns(item):
            counted.elsewhere += 1
            continue
        counted.lines += 1
        if isinstance(item, BadLine):
            counted.invalid += 1
            if len(counted.bad) < BAD:
                counted.bad.append(item)
            continue
        target = check_url(item.target)
        _add_host(counted, item.target.partition("://")[2].partition("/")[0].partition("?")[0].lower())
        if not repeats and not names.add(item.uuid):
            counted.duplicates += 1
        elif hosts is not None and not hosts.allows(target.host, target.port, item.target.partition(":")[0].lower()):
            counted.forbidden += 1
        elif (stands := verdict(item.uuid)) is True:
            counted.stands += 1
        else:
            counted.new += stands is None
            counted.again += stands is False
            _draw(counted, item, sample, chance)
    counted.about = names.about
    return counted


def shown(bad: BadLine) -> str:
    """A bad line for a person."""
    where = f"{bad.source}:{bad.line}" if bad.source else f"line {bad.line}"
    return f"{where}: {bad.reason} ({bad.text[:80]})"


def _items(source: Source, counted: Counted, tell: Callable[[Counted], None]) -> Iterator[Entry | BadLine]:
    while batch := source.next_batch(_BATCH):
        yield from batch
        tell(counted)


def _add_host(counted: Counted, host: str) -> None:
    if host in counted.hosts or len(counted.hosts) < HOSTS:
        counted.hosts[host] += 1
    else:
        counted.other_hosts += 1


def _draw(counted: Counted, entry: Entry, size: int, chance: random.Random) -> None:
    """Reservoir sampling (Vitter, 1985, algorithm R), of calls that do no harm when made once more."""
    if entry.method not in IDEMPOTENT:
        return
    if len(counted.sample) < size:
        counted.sample.append(entry)
    elif size and (at := chance.randrange(counted.to_make)) < size:
        counted.sample[at] = entry


class _Names:
    """Names seen: exactly, as long as they are few."""

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._nearly: Names | None = None

    @property
    def about(self) -> bool:
        return self._nearly is not None

    def add(self, uuid: bytes) -> bool:
        """Whether it is new."""
        if self._nearly is not None:
            return self._nearly.add(uuid)
        if uuid in self._exact:
            return False
        self._exact.add(uuid)
        if len(self._exact) >= EXACT:
            self._nearly = Names()
            for name in self._exact:
                self._nearly.add(name)
            self._exact.clear()
        return True
