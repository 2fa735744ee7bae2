"""What the workers on all machines know of a host: it is written in Redis, where all of them look.

Owns how that is read and changed, so that nobody's word is lost, and whose clock counts: Redis's. What stands there
(the turns of a rate that were taken, what a host asks for) is pacing's (`crawler.pacing.shared`).
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from crawler.distributed.server import GoneError
from crawler.exceptions import ListError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.distributed.server import Server

SILENCE_S: Final = 0.2
"""The event loop waits for these answers, which take some 0.2 ms: ten a second for each host that has a rate, and ten
for what hosts ask for. What takes longer than this is gone, and nothing is called at a rate until it is back."""

AGAIN_S: Final = 1.0
"""How long nothing is asked of a Redis that was gone."""

LOOKS: Final = 5
OLDER: Final = 1.001
"""Of a look at Redis's clock, the shortest is the best; after 1,000 others, one that took 2.7 times as long is better,
since clocks drift apart."""

FORGET_S: Final = 2 * 86_400
"""Longer than the longest window, a day, so that a key is there as long as it says something."""


class FleetBoard:
    """What `pacing.Shared` asks for, in the database of the list: all lists of one database share what they know."""

    def __init__(self, server: Server) -> None:
        """Raises ListError when Redis cannot be asked. server: a connection of our own, which waits SILENCE_S."""
        self._server = server
        self._again_s = 0.0
        self._offset_s = 0.0
        self._way_s = math.inf  # there and back, when the offset was taken
        try:
            for _ in range(LOOKS):
                self._look("")
        except GoneError as exc:
            raise ListError(f"{server.address}: {server.why(exc)}") from exc

    def wall(self, now_s: float) -> float:
        """Redis's time, in seconds since 1970, for one of the monotonic clock."""
        return now_s + self._offset_s

    def exchange(self, host: str, change: Callable[[dict[str, Any]], None]) -> bool:
        """Have *change* change what is known of a host. False: it did not count, since another was faster.

        What *change* made of it for itself does not count then either. What it leaves as it was is not written.
        """
        if time.monotonic() < self._again_s:
            return False
        try:
            before = self._look(host)
            state = _read(before)
            change(state)
            after = json.dumps(state, separators=(",", ":")).encode()
            if after == (before or b"{}"):
                return True
            return self._server.replace_host_state(host, before, after, forget_s=FORGET_S)
        except (GoneError, ListError):  # of which those tell who draw from the list
            self._again_s = time.monotonic() + AGAIN_S
            return False

    def _look(self, host: str) -> bytes:
        asked_s = time.monotonic()
        redis_s, state = self._server.host_state(host)
        way_s = time.monotonic() - asked_s
        if way_s <= self._way_s:
            self._offset_s, self._way_s = redis_s - asked_s - way_s / 2, way_s
        else:
            self._way_s *= OLDER
        return state


def _read(state: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(state)
        if isinstance(found, dict):
            return found
    return {}
