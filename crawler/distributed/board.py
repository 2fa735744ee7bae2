"""What the workers on all machines know of a host: it is written in Redis, where all of them look.

Owns how that is read and changed, so that nobody's word is lost and the event loop waits for no more than it must,
and whose clock counts: Redis's. What stands there (the turns of a rate that were taken, what a host asks for) is
pacing's (`crawler.pacing.shared`).

A thread asks Redis, one thing after the other. Whoever changes nothing goes by what was seen last, and the next look
is for the next time. A change counts once Redis has it: for that the loop waits, one way there and back.
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
from crawler.pacing.turns import LATE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.distributed.server import Server

logger = logging.getLogger("apifetch")

PATIENCE_S: Final = 1.0
"""How long the event loop waits for an answer, which comes in 0.2 ms from the same machine and in 0.3 s from the other
side of the world. A Redis that is silent costs it once; then nothing is waited for until it has answered. What was
seen so long ago is looked at again before it counts."""

AGAIN_S: Final = 1.0
"""How long nothing is asked of a Redis that was gone."""

LOOKS: Final = 5
OLDER: Final = 1.001
"""Of a look at Redis's clock, the shortest is the best; after 1,000 others, one that took 2.7 times as long is better,
since clocks drift apart."""

FORGET_S: Final = 2 * 86_400
"""Longer than the longest window, a day, so that a key is there as long as it says something."""

MOST_SEEN: Final = 10_000
"""Hosts that are remembered as they were seen last, a few hundred bytes each; another one is looked at again."""


class _Seen(NamedTuple):
    """What stands in Redis of a host, and when that was heard, on the monotonic clock."""

    state: bytes
    at_s: float


class FleetBoard:
    """What `pacing.Shared` asks for, in the database of the list: all lists of one database share what they know."""

    def __init__(self, server: Server, *, has_rate: bool = False, patience_s: float = PATIENCE_S) -> None:
        """Raises ListError when Redis cannot be asked, InterruptError; waits for it as long as *server* does.

        has_rate: turns of a rate are taken here, for which Redis may be too far away.
        """
        self._server = server
        self._patience_s = patience_s
        self._offset_s = 0.0
        self._way_s = math.inf  # there and back, when the offset was taken
        self._seen: dict[str, _Seen] = {}
        self._looking: set[str] = set()  # hosts of which a look is under way
        self._is_gone = False  # or silent
        self._again_s = -math.inf  # when something may be asked again of one that was gone
        self._is_told = False  # that it is silent
        self._asked: SimpleQueue[tuple[Callable[[], bool], Future[bool]]] = SimpleQueue()
        for _ in range(LOOKS):
            first(server, lambda: self._look(""))
        if has_rate and self._way_s > LATE_S:
            logger.warning(
                "Redis takes %.2g s for an answer: the turns of a rate per second that workers share come too late to "
                "be used (APIFETCH_SHARED_RATE=off: each worker keeps to the rate by itself)", self._way_s,
            )  # fmt: skip
        threading.Thread(target=self._ask, name="apifetch-board", daemon=True).start()

    def wall(self, now_s: float) -> float:
        """Redis's time, in seconds since 1970, for one of the monotonic clock."""
        return now_s + self._offset_s

    def exchange(self, host: str, change: Callable[[dict[str, Any]], None]) -> bool:
        """Have *change* change what is known of a host. False: it did not count, since another was faster.

        What *change* made of it for itself does not count then either. What it leaves as it was is not written.
        """
        if self._is_gone:
            self._look_soon(host)
            return False
        seen = self._seen.get(host)
        if seen is None or time.monotonic() - seen.at_s > self._patience_s:
            if host in self._looking or not self._wait(lambda: self._look(host)):
                return False
            seen = self._seen[host]
        before = seen.state
        state = _read(before)
        change(state)
        after = json.dumps(state, separators=(",", ":")).encode()
        if after == (before or b"{}"):
            self._look_soon(host)
            return True
        return self._wait(lambda: self._replace(host, before, after))

    # In the event loop's thread

    def _wait(self, what: Callable[[], bool]) -> bool:
        """Have it done; False as well when nobody knows yet whether it is."""
        answer: Future[bool] = Future()
        self._asked.put((what, answer))
        try:
            return answer.result(self._patience_s)
        except TimeoutError:
            self._is_gone = True
            if not self._is_told:
                self._is_told = True
                logger.warning(
                    "Redis has not answered for %g s: until it does, nothing is called at a rate, and what a host "
                    "asks one worker to wait the others do not know", self._patience_s,
                )  # fmt: skip
            return False

    def _look_soon(self, host: str) -> None:
        """Have it looked at for the next time, unless that is under way or Redis was gone just now."""
        if host in self._looking or time.monotonic() < self._again_s:
            return
        self._looking.add(host)
        self._asked.put((lambda: self._look(host), Future()))

    # In the thread that asks

    def _ask(self) -> None:
        while True:
            what, answer = self._asked.get()
            try:
                is_done = what()
                self._is_gone = self._is_told = False
            except (GoneError, ListError):  # of which those tell who draw from the list
                self._is_gone, self._again_s = True, time.monotonic() + AGAIN_S
                is_done = False
            answer.set_result(is_done)

    def _look(self, host: str) -> bool:
        try:
            asked_s = time.monotonic()
            redis_s, state = self._server.host_state(host)
            way_s = time.monotonic() - asked_s
        finally:
            self._looking.discard(host)
        if way_s <= self._way_s:
            self._offset_s, self._way_s = redis_s - asked_s - way_s / 2, way_s
        else:
            self._way_s *= OLDER
        self._note(host, state)
        return True

    def _replace(self, host: str, before: bytes, after: bytes) -> bool:
        other = self._server.replace_host_state(host, before, after, forget_s=FORGET_S)
        self._note(host, after if other is None else other)
        return other is None

    def _note(self, host: str, state: bytes) -> None:
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
