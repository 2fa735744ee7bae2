"""A worker's end of the shared list: a Source whose entries are acknowledged when their records are durable.

Two threads ask Redis, the event loop never does: the Feed's draws, one of our own acknowledges and says that we
live. An entry is never acknowledged without its record; whatever fails, it is drawn again.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from crawler.distributed.envelope import decode, name_of
from crawler.distributed.first import first
from crawler.distributed.server import AGAIN_S, BLOCK_S, GoneError, Server
from crawler.exceptions import ListError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.distributed.server import Drawn
    from crawler.items import BadLine, Entry
    from crawler.sources import Opens, SharedAddress

logger = logging.getLogger("apifetch")

BEATS: Final = 4
"""How often in a lease a worker says that it lives: three words may be lost."""

FLUSH_S: Final = 0.02
"""How long acknowledgements wait for others to go along."""

CLOSED_S: Final = 0.1
"""As BLOCK_S, once the list is closed: whoever has nothing to do then may be done with it."""

LEAVE_S: Final = 5.0
"""How long a worker that ends waits for Redis to hear of its last records; unheard, they are fetched again."""

LENT_S: Final = 0.02
"""How soon a worker asks again when all that the workers may hold together is lent out."""

DRY_S: Final = 1.0
"""After so long without an entry, all that came before is under way or waits: it takes the spider some 10 ms."""

FULL_S: Final = 0.05
"""How often a worker that holds all it may looks whether that has changed: it draws its way past what rests."""

MOST_ASIDE: Final = 10_000
"""Entries that rest and leave room for others, as many as pacing lets wait in any run; each is some 2 kB here."""


class SharedSource:
    """Entries of the list that this worker draws, from now until the list is closed and nobody else's to do.

    count: entries that came to it in this run.
    """

    skipped = 0
    lines_about = None

    def __init__(self, server: Server, *, workers: int, aside: Callable[[], int], lease_s: float) -> None:
        """aside: how many of the entries we hold have no worker and let others go first.

        Raises ListError when Redis cannot be asked, InterruptError.
        """
        self.count = 0
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._server = server
        self._workers, self._aside = workers, aside
        self._lease_s = lease_s
        self._ids: dict[bytes, bytes] = {}  # name -> id of what we hold
        self._done: list[bytes] = []  # names, to be acknowledged
        self._lately: deque[tuple[float, int]] = deque()  # when, and how many were
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_told = False  # that we wait for entries
        self._is_told_why = False  # that the list is lost
        self._wait_s = BLOCK_S
        self._dry_s = math.inf  # since when nothing comes
        self._is_full = False  # there is no room
        self._after: bytes | None = None  # of what Redis gave us and we may not have; None: nothing
        up_s = first(server, server.begin)
        server.is_waited_for = True
        server.beat(self.worker, lease_s)
        self._beat_s = time.monotonic()
        # Of a Redis that was away everybody's word is old: whoever lives gets the time to renew it.
        self._steady_s = self._beat_s - min(up_s, lease_s)
        self._claim_s = 0.0
        self._together = server.workers()  # calls of all workers at once; 0: as many as each wants
        self._keeper = threading.Thread(target=self._keep, name="apifetch-shared", daemon=True)
        self._keeper.start()

    # Drawing, in the Feed's thread

    def next_batch(self, size: int) -> list[Entry | BadLine]:
        """As any Source; [] at the end: the list is closed, and what is left of it is with this worker."""
        while (room := self._room()) > 0:
            try:
                batch = self._draw(min(size, room))
                if batch:
                    self._is_told, self._dry_s = False, math.inf
                    return batch
                if self._is_over():
                    return []
                self._nothing_comes()
            except ListError:
                self._is_told_why = True
                raise
            except GoneError:
                self._nothing_comes()
                self._after = b"0"  # what Redis was about to say may be lost
                self._pause(AGAIN_S)
        return []

    def _room(self) -> int:
        """Wait until there is room for an entry, and give for how many; 0 once we are closed."""
        with self._changed:
            while not self._is_closed:
                room = self._room_beside(len(self._ids))
                self._is_full = room <= 0
                if not self._is_full:
                    return room
                self._changed.wait(FULL_S)
        return 0

    def _room_beside(self, held: int) -> int:
        ahead = 0 if self._together else self._workers + self._a_second()
        return self._workers + ahead + min(self._aside(), MOST_ASIDE) - held

    @property
    def is_dry(self) -> bool:
        if not self._is_full:
            return time.monotonic() - self._dry_s >= DRY_S
        with self._changed:  # what has a worker, or is on its way to the disk, will make room
            return self._room_beside(self._aside()) <= 0

    def _nothing_comes(self) -> None:
        self._dry_s = min(self._dry_s, time.monotonic())

    def _a_second(self) -> int:
        """Entries acknowledged in the last second: with twice the workers, enough to be never without work."""
        now_s = time.monotonic()
        while self._lately and self._lately[0][0] < now_s - 1.0:
            self._lately.popleft()
        return sum(count for _, count in self._lately)

    def _draw(self, most: int) -> list[Entry | BadLine]:
        while self._after is not None:
            drawn = self._server.held(self.worker, most, self._after)
            self._after = drawn[-1][0] if drawn else None
            if batch := self._take(drawn):
                return batch
        if (now_s := time.monotonic()) >= self._claim_s:
            steady = now_s - self._steady_s >= self._lease_s
            if drawn := self._server.claim(self.worker, most, left_only=not steady):
                logger.info("%d entries taken over from a worker that is gone", len(drawn))
                return self._take(drawn)
            self._claim_s = now_s + self._lease_s / BEATS
        if self._together:
            drawn = self._server.draw_within(self.worker, most)
            self._pause(0.0 if drawn else LENT_S)
            return self._take(drawn)
        return self._take(self._server.draw(self.worker, most, block_s=self._wait_s))

    def _take(self, drawn: Drawn) -> list[Entry | BadLine]:
        batch = []
        gone = []
        with self._changed:
            for id_, raw in drawn:
                if raw is None:
                    gone.append(id_)
                    continue
                line = decode(raw, number=int(id_.partition(b"-")[0]))
                name = name_of(line)
                if name not in self._ids:
                    batch.append(line)
                self._ids[name] = id_
            self.count += len(batch)
        if gone:
            self._server.acknowledge(gone)
        return batch

    def _is_over(self) -> bool:
        standing = self._server.standing(self.worker)
        self._wait_s = CLOSED_S if standing.is_closed else BLOCK_S
        if standing.is_closed and standing.left == standing.mine:
            return True
        if not self._is_told:
            self._is_told = True
            if standing.is_closed:
                logger.info("The list is closed; waiting for %d entries that other workers hold", standing.left)
            else:
                logger.info("The list is empty, and open: waiting for scrapy enqueue to add to it, or to close it")
        return False

    # What is done, in the event loop's thread

    def ack(self, entries: Sequence[Entry | BadLine], *, again: bool = False) -> None:
        """The records of *entries* are durable. again: they were before, in this run: they count once."""
        with self._changed:
            self._done += map(name_of, entries)
            self.count -= len(entries) if again else 0
            self._changed.notify_all()

    def close(self) -> None:
        """Tell Redis what is done, give the rest back, and draw no more. Waits LEAVE_S at the most."""
        end_s = time.monotonic() + LEAVE_S
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._keeper.join(LEAVE_S)  # its last word must not be that we live
        while time.monotonic() < end_s:
            try:
                self._flush()
                self._server.leave(self.worker)
                break
            except GoneError:
                time.sleep(AGAIN_S)
            except ListError as exc:
                if not self._is_told_why:
                    logger.warning("%s", exc)
                break
        self._server.disconnect()

    # Acknowledging, in our own thread

    def _keep(self) -> None:
        """Until we are closed."""
        while not self._is_closed:
            try:
                self._flush()  # first: of a Redis without memory it is what makes room for the other
                self._beat()
            except (GoneError, ListError):  # of which the Feed's thread hears too
                self._pause(AGAIN_S)
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._done or self._is_closed, self._lease_s / BEATS)
            self._pause(FLUSH_S)

    def _beat(self) -> None:
        now_s = time.monotonic()
        if now_s - self._beat_s < self._lease_s / BEATS:
            return
        self._server.beat(self.worker, self._lease_s)
        self._together = self._server.workers()
        if now_s - self._beat_s > self._lease_s / 2:  # we, or Redis, were away: others may have been, too
            self._steady_s = time.monotonic()
        self._beat_s = time.monotonic()

    def _flush(self) -> None:
        with self._changed:
            names, self._done = self._done, []
            ids = [self._ids[name] for name in names if name in self._ids]
        if not ids:
            return
        try:
            self._server.acknowledge(ids)
        except GoneError:
            with self._changed:
                self._done += names
            raise
        with self._changed:
            for name in names:
                self._ids.pop(name, None)
            self._lately.append((time.monotonic(), len(ids)))
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)


def shared_source(address: SharedAddress, *, ca_file: str | None, patience_s: float, lease_s: float) -> Opens:
    """What opens a list for a run. Raises ListError without the package."""
    server = Server(address, ca_file=ca_file, patience_s=patience_s)
    return lambda workers, aside: SharedSource(server, workers=workers, aside=aside, lease_s=lease_s)
