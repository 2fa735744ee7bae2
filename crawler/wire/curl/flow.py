"""How much of all bodies may be in memory at once: transfers that would bring more pause, and go on in turn.

Owns the count of what has arrived and is not on disk yet, and who pauses for it. The first piece of a body, at most
128 KiB, is always taken, so that small bodies are never asked about.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pycurl

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.wire.curl.transfer import Transfer

BUDGET_BYTES: Final = 256 * 1024 * 1024
"""APIFETCH_BODIES_IN_FLIGHT_BYTES of a crawl that says nothing of it."""

LOOK_S: Final = 0.02
"""How often paused transfers are looked at: as often as batches reach the disk."""


class Flow:
    """budget_bytes: of bodies, those of a single transfer come on top. queued_bytes: asked for what waits for the disk.

    held_bytes: of the transfers that run; whoever takes in a piece adds to it, and asks once it is more than few_bytes.
    """

    def __init__(self, budget_bytes: int, queued_bytes: Callable[[], int]) -> None:
        self.held_bytes = 0
        self.few_bytes = budget_bytes // 5  # with so little held nobody asks, with so little queued the next may come
        self._most_bytes = budget_bytes - 2 * self.few_bytes
        self._queued_bytes = queued_bytes
        self._first: Transfer | None = None  # goes on although there is no room, so that one always ends
        self._paused: dict[Transfer, float] = {}  # in order: since when
        self._timer: asyncio.TimerHandle | None = None

    def may_go_on(self, transfer: Transfer) -> bool:
        """Whether a transfer may bring more now; if not, it is to pause, and is told to go on later."""
        if self._has_room or self._first is transfer:
            return True
        if self._needs_a_first and not self._paused:
            self._first = transfer
            return True
        self._paused[transfer] = time.monotonic()
        loop = asyncio.get_running_loop()
        loop.call_soon(self._stop_clock, transfer)  # libcurl takes no options in a callback
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._look)
        return False

    def is_paused(self, transfer: Transfer) -> bool:
        return transfer in self._paused

    def leave(self, transfer: Transfer) -> None:
        """Count a transfer no longer: it has ended."""
        self.held_bytes -= transfer.size
        self._paused.pop(transfer, None)
        if self._first is transfer:
            self._first = None
            if self._timer is not None:  # the next one need not wait for it
                self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(0, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _needs_a_first(self) -> bool:
        """Whether little else will make room soon: what waits for the disk does so by itself."""
        return self._first is None and self._queued_bytes() < self.few_bytes

    @property
    def _has_room(self) -> bool:
        return self.held_bytes + self._queued_bytes() < self._most_bytes

    def _look(self) -> None:
        """Let all go on while there is room; else the one that has waited longest, where that is the only way."""
        self._timer = None
        while self._paused and (self._has_room or self._needs_a_first):
            transfer = next(iter(self._paused))
            if not self._has_room:
                self._first = transfer
            self._go_on(transfer, self._paused.pop(transfer))
        if self._paused and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _stop_clock(self, transfer: Transfer) -> None:
        """That it waits for us is not the server's fault, so it does not count towards its timeout."""
        if transfer in self._paused and transfer.handle is not None:
            transfer.handle.setopt(pycurl.TIMEOUT_MS, 0)

    def _go_on(self, transfer: Transfer, since_s: float) -> None:
        handle = transfer.handle
        assert handle is not None
        transfer.timeout_ms += round((time.monotonic() - since_s) * 1000)
        handle.setopt(pycurl.TIMEOUT_MS, transfer.timeout_ms)
        handle.pause(pycurl.PAUSE_CONT)  # which may bring what libcurl holds back, at once
