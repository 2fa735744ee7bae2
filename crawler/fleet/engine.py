"""What runs a part: a seam, with child processes behind it (crawler.fleet.processes), or servers elsewhere.

Whoever implements it starts, asks and stops; when a part is started again, and what its end means, is the Fleet's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from crawler.items import WHOLE, Shard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crawler.meter import Progress

LOST: Final = -9
"""The exit code of a part whose end nobody saw: of a server that is gone. As if it had been killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One command to run: `scrapy crawl` *spider*. out: its directory here, which all parts share.

    url: of the object store that has the bodies, None for the directory itself. arguments, settings: what -a and -s
    say, all of it.
    """

    shard: Shard = WHOLE
    spider: str = "apifetch"
    out: Path
    url: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Where its results are, as `out` says it once its fields are filled in."""
        return self.url or str(self.out)

    def __str__(self) -> str:
        return f"part {self.shard}" if self.shard.is_part else "the whole list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A part at one moment.

    exit_code: None while it runs; as of Popen, so that a signal is negative. stop_reason: that of its summary, once it
    has ended. progress: what it told last of itself, None while it has said nothing.
    """

    exit_code: int | None = None
    stop_reason: str | None = None
    progress: Progress | None = None


class Job(Protocol):
    """A part under way."""

    async def look(self) -> Look:
        """How it is. Raises nothing: a part of which nothing can be learned any more has ended, LOST."""

    async def stop(self, *, at_once: bool) -> None:
        """Have it end: in good order, or now. Does not wait for it."""


class Engine(Protocol):
    """What starts parts, and holds them until they have ended."""

    async def start(self, part: Part) -> Job:
        """Start it. Raises ApiFetchError when that cannot be done by anybody."""
