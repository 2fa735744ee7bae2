"""What the workers on all machines know of a host: it is written in Redis, where all of them look.

Owns how that is read and changed, so that nobody's word is lost and the event loop waits for nothing,
and whose clock counts: Redis's. What stands there (the turns of a rate that were taken, what a host asks for) is
pacing's (`crawler.pacing.shared`).

Threads ask Redis, and nothing waits for an answer. Whoever changes nothing goes by what was seen last, and the next
look is for the next time. A change counts once Redis has it, which is known when the answer is there.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from crawler.distributed.first import first
from crawler.distributed.server import GoneError
from crawler.exceptions import ListError
from crawler.pacing.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.distributed.server import Server

logger = logging.getLogger("apifetch")

PATIENCE_S: Final = 1.0
"""After so long without an answer, which comes in 0.2 ms from the same machine and in 0.3 s from the other side of the
world, that is said. Who changes nothing does not go by what was seen so long ago."""

THREADS: Final = 4
"""So many things are asked at once: what hosts ask for, and the turns of three of them."""

AGAIN_S: Final = 1.0
"""How long nothing is asked of a Redis that was gone."""

LOOKS: Final = 5
OLDER: Final = 1.001
"""Of a look at Redis's clock, the shortest is the best; after 1,000 others, one that took 2.7 times as long is better,
since clocks drift apart."""

FORGET_S: Final = 2 * 86_400
"""Longer than the longest window, a day, so that a key is there as long as it says something."""

FADES: Final = 0.9
"""How long answers take: as the longest of late; after 7 that take no time, half of it."""

MOST_SEEN: Final = 10_000
"""Hosts that are remembered as they were seen last, a few hundred bytes each; another one is looked at again."""


class _Seen(NamedTuple):
    """What stands in Redis of a host, and when that was heard, on the monotonic clock."""

    state: bytes
    at_s: float


class _Change(NamedTuple):
    """One that Redis was asked for, and when, on the monotonic clock."""

    counts: Future[bool]
    at_s: float


class FleetBoard:
    """What `pacing.Shared` asks for, in the database of the list: all lists of one database share what they know."""

    def __init__(self, server: Server, *, patience_s: float = PATIENCE_S) -> None:
        """Raises ListError when Redis cannot be asked, InterruptError; waits for it as long as *server* does."""
        self._server = server
        self._patience_s = patience_s
        self._offset_s = 0.0
        self._nearest_s = math.inf  # there and back, when the offset was taken
        self._way_s = 0.0
        self._seen: dict[str, _Seen] = {}
        self._looking: set[str] = set()  # hosts of which a look is under way
        self._changing: dict[str, _Change] = {}
        self._again_s = -math.inf  # when something may be asked again of one that was gone
        self._is_told = False  # that it is silent
        self._asked: SimpleQueue[tuple[Callable[[], bool], Future[bool]]] = SimpleQueue()
        self._noting = threading.Lock()
        for _ in range(LOOKS):
            first(server, lambda: self._look(""))
        self._way_s = self._nearest_s  # the first one connected, too
        for number in range(THREADS):
            threading.Thread(target=self._ask, name=f"apifetch-board-{number}", daemon=True).start()

    @property
    def shared(self) -> Shared:
        """For pacing."""
        return Shared(self.exchange, self.wall, self.answer, self.way)

    def wall(self, now_s: float) -> float:
        """Redis's time, in seconds since 1970, for one of the monotonic clock."""
        return now_s + self._offset_s

    def way(self) -> float:
        """How many seconds an answer takes: as the longest of late."""
        return self._way_s

    def exchange(self, host: str, change: Callable[[dict[str, Any]], None]) -> bool | None:
        """Have *change* change what is known of a host. None: answer() gives whether it counts, once that is known.

        False: it was not called, or in vain, since what stands there is not known well enough, or not yet. What
        *change* made of it for itself does not count unless the change does. What it leaves as it was is not written.
        """
        now_s = time.monotonic()
        before_this = self._changing.get(host)
        if now_s < self._again_s or not (before_this is None or before_this.counts.done()):
            return False
        self._changing.pop(host, None)  # nobody wants to know any longer
        seen = self._seen.get(host)
        if seen is None:
            self._look_soon(host)
            return False
        before = seen.state
        state = _read(before)
        change(state)
        after = json.dumps(state, separators=(",", ":")).encode()
        if after == (before or b"{}"):
            self._look_soon(host)
            return now_s - seen.at_s <= self._patience_s
        counts = self._have_done(lambda: self._replace(host, before, after))
        self._changing[host] = _Change(counts, now_s)
        return None

    def answer(self, host: str) -> bool | None:
        """Whether what a host's last exchange() changed counts, as Redis has it; None: not known yet.

        False: another was faster, or Redis is gone.
        """
        if host not in self._changing:
            return False
        counts, at_s = self._changing[host]
        if counts.done():
            del self._changing[host]
            return counts.result()
        if time.monotonic() - at_s > self._patience_s and not self._is_told:
            self._is_told = True
            logger.warning(
                "Redis has not answered for %g s: until it does, nothing is called at a rate, and what a host "
                "asks one worker to wait the others do not know", self._patience_s,
            )  # fmt: skip
        return None

    # In the event loop's thread

    def _have_done(self, what: Callable[[], bool]) -> Future[bool]:
        counts: Future[bool] = Future()
        self._asked.put((what, counts))
        return counts

    def _look_soon(self, host: str) -> None:
        """Have it looked at for the next time, unless that is under way or Redis was gone just now."""
        if host in self._looking or time.monotonic() < self._again_s:
            return
        self._looking.add(host)
        self._have_done(lambda: self._look(host))

    # In the threads that ask

    def _ask(self) -> None:
        while True:
            what, counts = self._asked.get()
            asked_s = time.monotonic()
            try:
                does_count = what()
                self._is_told = False
                self._way_s = max(time.monotonic() - asked_s, self._way_s * FADES)
            except (GoneError, ListError):  # of which those tell who draw from the list
                self._again_s = time.monotonic() + AGAIN_S
                does_count = False
            counts.set_result(does_count)

    def _look(self, host: str) -> bool:
        try:
            asked_s = time.monotonic()
            redis_s, state = self._server.host_state(host)
            way_s = time.monotonic() - asked_s
        finally:
            self._looking.discard(host)
        with self._noting:
            if way_s <= self._nearest_s:
                self._offset_s, self._nearest_s = redis_s - asked_s - way_s / 2, way_s
            else:
                self._nearest_s *= OLDER
        self._note(host, state)
        return True

    def _replace(self, host: str, before: bytes, after: bytes) -> bool:
        other = self._server.replace_host_state(host, before, after, forget_s=FORGET_S)
        self._note(host, after if other is None else other)
        return other is None

    def _note(self, host: str, state: bytes) -> None:
        with self._noting:
            self._seen.pop(host, None)
            if len(self._seen) >= MOST_SEEN:
                del self._seen[next(iter(self._seen))]  # heard of longest ago
            self._seen[host] = _Seen(state, time.monotonic())


def _read(state: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(state)
        if isinstance(found, dict):
            return found
    return {}
