"""What stands before the wire when a host refuses credentials: calls wait, the secrets are read again, one call tries.

Translates between calls and the run's doors, and reads the secrets again; what a refusal means is decided in
crawler.credentials. A call that was refused stays here, with its worker, and goes again itself: so nothing else goes
out meanwhile, and it costs none of its retries.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from crawler.credentials import REFUSING, Door, says_nothing
from crawler.exceptions import SecretError, StoppedError
from crawler.items import IDEMPOTENT, TICKET
from crawler.pacing import read_ending
from crawler.wire.filling import Whose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request
    from scrapy.http import Response

    from crawler.items import Ticket
    from crawler.run import Run
    from crawler.wire.filling import Filling

logger = logging.getLogger("apifetch")


class Doorkeeper:
    """Of one run. send: makes a call, once. window: Door's."""

    def __init__(
        self, run: Run, filling: Filling, send: Callable[[Request], Awaitable[Response]], *, window: int
    ) -> None:
        self._run = run
        self._filling = filling
        self._send = send
        self._doors = run.doors
        self._changed = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._window = window
        self._read_s = -math.inf
        self._changed_s = -math.inf
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether some host has refused credentials: only then calls have to come by here."""
        return bool(self._doors)

    async def refused(self, request: Request, response: Response, host: str) -> Response:
        """Give the answer of a call that was refused when it went by no door: this one, or that of another try."""
        sent_s = time.monotonic() - request.meta.get("download_latency", 0.0)
        if not self._is_kept(request, response, host, sent_s=sent_s, tries=False, before_s=None):
            return response
        return await self.download(request, host, before_s=time.monotonic())

    async def download(self, request: Request, host: str, *, before_s: float | None = None) -> Response:
        """Give the answer of a call once it may go in. before_s: when it was refused. Raises StoppedError."""
        has_tried = False
        while True:
            tries = await self._turn(request, host, has_tried=has_tried)
            has_tried |= tries
            if before_s is not None:
                await self._count(request)
            sent_s = time.monotonic()
            try:
                response = await self._send(request)
            except BaseException:
                if tries:
                    self._lost(self._doors[host])
                raise
            if not self._is_kept(request, response, host, sent_s=sent_s, tries=tries, before_s=before_s):
                return response
            before_s = time.monotonic()

    # At the door

    async def _turn(self, request: Request, host: str, *, has_tried: bool) -> bool:
        """Return when the call may go in; whether it is the one that tries. Raises StoppedError."""
        stopping = self._run.stopping
        while (door := self._doors.get(host)) is not None and door.is_shut and self._filling.credentials_in(request):
            if stopping.begun.is_set():
                raise StoppedError("the run is stopping")
            if door.try_it(has_tried=has_tried):
                try:
                    await stopping.until_given_up(self._renew(door))
                except BaseException:
                    self._lost(door)
                    raise
                return True
            if self._watch is None:
                self._watch = asyncio.ensure_future(self._wake_at_the_end())
            door.waiting += not has_tried
            try:
                await self._changed.wait()
            finally:
                door.waiting -= not has_tried
        return False

    async def _wake_at_the_end(self) -> None:
        await self._run.stopping.begun.wait()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _renew(self, door: Door) -> None:
        """Read the secrets again: once for each time that a door is shut, and once for all that are shut meanwhile."""
        if door.is_renewed:
            return
        secrets = self._run.plan.secrets
        async with self._renewing:
            if secrets.may_change and self._read_s < door.shut_s:
                try:
                    if await secrets.renew():
                        self._changed_s = time.monotonic()
                except SecretError as exc:
                    logger.warning("The secrets cannot be read again: %s", exc)
                else:
                    is_new = self._changed_s >= door.shut_s
                    logger.info("The secrets are read again: %s", "they are new" if is_new else "they are as before")
                self._read_s = time.monotonic()
        door.renewed(time.monotonic(), changed=self._changed_s >= door.shut_s)

    async def _count(self, request: Request) -> None:
        """Count one more attempt, and have it on disk when it may not be repeated. Raises StoreError."""
        ticket: Ticket | None = request.meta.get(TICKET)
        if ticket is None:
            return
        ticket.attempts += 1
        if request.method not in IDEMPOTENT and not ticket.is_noted:
            await self._run.recording.sent(ticket)

    # What the host says

    def _is_kept(
        self, request: Request, response: Response, host: str, *, sent_s: float, tries: bool, before_s: float | None
    ) -> bool:
        """Whether the call is to be made again, as soon as it may go in; else *response* is its answer."""
        door = self._doors.get(host)
        carries = self._filling.credentials_in(request)
        is_judged = carries and not says_nothing(response.status) and not _is_about_time(response)
        if not is_judged or carries is None:
            if door is not None and tries:
                self._lost(door)
            return False
        now_s = time.monotonic()
        if response.status not in REFUSING:
            if door is not None and door.accepted(now_s, sent_s=sent_s, tries=tries):
                logger.info("%s takes the credentials: going on", host)
                self._wake()
            return False
        if door is None:
            door = self._doors[host] = Door(self._window)
        ticket: Ticket | None = request.meta.get(TICKET)
        was_shut = door.is_shut
        is_kept = door.refused(
            ticket.uuid if ticket is not None else request.url, now_s, sent_s=sent_s, tries=tries,
            strict=response.status == 401 and carries is Whose.OURS, before_s=before_s,
        )  # fmt: skip
        if not was_shut and door.is_shut:
            logger.warning(
                "%s refuses the credentials (%d): calls wait until one has tried again", host, response.status
            )
        if door.is_dead and tries:
            logger.error(
                "%s refuses the credentials (%d): what is left stays for a run with better ones. If these answers are "
                "about single calls, -s APIFETCH_REFUSED_WINDOW=0 takes them as such", host, response.status,
            )  # fmt: skip
        if tries:
            self._wake()
        if is_kept and ticket is not None and ticket.is_noted:
            self._run.recording.unsent(ticket)  # it was not carried out
        return is_kept

    def _lost(self, door: Door) -> None:
        """Let another call try."""
        door.lost()
        self._wake()


def _is_about_time(response: Response) -> bool:
    """Whether it is a refusal of a call that came too early: pacing's, whatever the credentials."""
    return response.status == 403 and read_ending(403, response.headers, wall_s=time.time()).is_refusal
