"""What stands before the wire when a host refuses credentials: calls wait, the secrets are read again, one call tries.

Translates between calls and the run's doors, and reads the secrets again; what a refusal means is decided in
crawler.credentials. A call that is to go again stays here, with its worker, and goes itself: so nothing else goes out
meanwhile, and it costs none of its retries. A call of which others will tell what its refusal means gives its worker
back: it is withheld, and comes by once more for its answer, or to go again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crawler.credentials import REFUSING, Door, Verdict, says_nothing
from crawler.exceptions import SecretError, StoppedError, WithheldError
from crawler.items import IDEMPOTENT, TICKET
from crawler.pacing import read_ending
from crawler.wire.filling import Whose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

    from scrapy import Request
    from scrapy.http import Response

    from crawler.items import Ticket
    from crawler.run import Run
    from crawler.wire.filling import Filling

logger = logging.getLogger("apifetch")

SHUT: Final = "%s refuses the credentials (%d): calls wait until one has tried again"

DEAD: Final = (
    "%s refuses the credentials (%d): what is left stays for a run with better ones. If these answers are about single "
    "calls, -s APIFETCH_REFUSED_WINDOW=0 takes them as such"
)

ANSWER: Final = "apifetch_answer"
"""``request.meta`` key: the answer of a call that was withheld."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A call on its way. sent_s: when it was sent. tries, before_s: see Door.refused."""

    request: Request
    host: str
    sent_s: float
    tries: bool = False
    before_s: float | None = None


class Doorkeeper:
    """Of one run. send: makes a call, once. bring: has the engine make a request. window: Door's."""

    def __init__(
        self, run: Run, filling: Filling, send: Callable[[Request], Awaitable[Response]],
        bring: Callable[[Request], None], *, window: int,
    ) -> None:  # fmt: skip
        self._run = run
        self._bring = bring
        self._filling = filling
        self._send = send
        self._doors = run.doors
        self._withheld: dict[str, dict[Hashable, tuple[Request, Response]]] = {}  # by host
        self._changed = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._window = window
        self._read_s = -math.inf
        self._changed_s = -math.inf
        self._watch: asyncio.Task[None] | None = None

    async def refused(self, request: Request, response: Response, host: str) -> Response:
        """Give the answer of a call that was refused when it went by no door: this one, or that of another try.

        Raises WithheldError when it has to wait for what comes of others.
        """
        sent_s = time.monotonic() - request.meta.get("download_latency", 0.0)
        if self._is_its_answer(Trip(request, host, sent_s), response):
            return response
        return await self._download(request, host, before_s=time.monotonic())

    async def download(self, request: Request, host: str) -> Response:
        """Give the answer of a call once it may go in. Raises StoppedError, WithheldError."""
        answer: Response | None = request.meta.pop(ANSWER, None)
        if answer is None:
            return await self._download(request, host, before_s=None)
        ticket: Ticket | None = request.meta.get(TICKET)
        if ticket is not None:
            ticket.attempts -= 1  # it was counted on its way here, and does not go out
        return answer

    async def _download(self, request: Request, host: str, *, before_s: float | None) -> Response:
        """before_s: when it was refused."""
        has_tried = False
        while True:
            tries = await self._turn(request, host, has_tried=has_tried)
            has_tried |= tries
            if before_s is not None:
                await self._count(request)
            trip = Trip(request, host, time.monotonic(), tries, before_s)
            try:
                response = await self._send(request)
            except BaseException:
                if tries:
                    self._lost(self._doors[host])
                raise
            if self._is_its_answer(trip, response):
                return response
            before_s = time.monotonic()

    # At the door

    async def _turn(self, request: Request, host: str, *, has_tried: bool) -> bool:
        """Return when the call may go in; whether it is the one that tries. Raises StoppedError."""
        stopping = self._run.stopping
        while (door := self._doors.get(host)) is not None and door.is_shut and self._filling.credentials_in(request):
            if stopping.begun.is_set():
                raise not_sent(request, self._run)
            if door.try_it(has_tried=has_tried):
                try:
                    await stopping.until_given_up(self._renew(door, host))
                except StoppedError:
                    self._lost(door)
                    raise not_sent(request, self._run) from None
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

    async def _renew(self, door: Door, host: str) -> None:
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
        is_new = self._changed_s >= door.shut_s
        door.renewed(time.monotonic(), changed=is_new)
        if is_new:  # what others were refused is no answer any more
            for request, _ in self._let_go(host).values():
                self._bring(request)

    async def _count(self, request: Request) -> None:
        """Count one more attempt, and have it on disk when it may not be repeated. Raises StoreError."""
        ticket: Ticket | None = request.meta.get(TICKET)
        if ticket is None:
            return
        ticket.attempts += 1
        if request.method not in IDEMPOTENT and not ticket.is_noted:
            await self._run.recording.sent(ticket)

    # What the host says

    def _is_its_answer(self, trip: Trip, response: Response) -> bool:
        """Whether that is the call's answer; else it goes again, as soon as it may go in. Raises WithheldError."""
        door = self._doors.get(trip.host)
        if response.status not in REFUSING and (door is None or door.is_calm):
            return True  # what most calls of a run are, also of one whose token died once
        carries = self._filling.credentials_in(trip.request)
        if carries is None or says_nothing(response.status) or _is_about_time(response):
            if door is not None and trip.tries:
                self._lost(door)
            return True
        if response.status in REFUSING:
            if door is None:
                door = self._doors[trip.host] = Door(self._window)
            return self._refused(door, trip, response, strict=response.status == 401 and carries is Whose.OURS)
        if door is not None:
            self._accepted(door, trip)
        return True

    def _refused(self, door: Door, trip: Trip, response: Response, *, strict: bool) -> bool:
        """Whether that is the call's answer. Raises WithheldError."""
        request, host = trip.request, trip.host
        ticket: Ticket | None = request.meta.get(TICKET)
        call = ticket.uuid if ticket is not None else request.url
        was_shut = door.is_shut
        verdict = door.refused(
            call, time.monotonic(), sent_s=trip.sent_s, tries=trip.tries, strict=strict, before_s=trip.before_s
        )
        if door.is_shut and not was_shut:
            logger.warning(SHUT, host, response.status)
        if door.is_dead:
            self._let_go(host)  # they are left
        if trip.tries:
            self._wake()
            if door.is_dead:
                logger.error(DEAD, host, response.status)
        if verdict is not Verdict.ANSWER and ticket is not None and ticket.is_noted:
            self._run.recording.unsent(ticket)  # it was not carried out
        if verdict is Verdict.LATER:
            self._withheld.setdefault(host, {})[call] = (request.copy(), response)
            self._run.withheld += 1
            raise WithheldError(f"{response.status}: what comes of others will tell what it means")
        return verdict is Verdict.ANSWER

    def _accepted(self, door: Door, trip: Trip) -> None:
        if door.accepted(time.monotonic(), sent_s=trip.sent_s, tries=trip.tries):
            logger.info("%s takes the credentials: going on", trip.host)
            self._wake()
        withheld = self._withheld.get(trip.host)
        if withheld:
            self._release(trip.host, [call for call in withheld if not door.is_open_question(call)])

    def _release(self, host: str, calls: Iterable[Hashable]) -> None:
        """Let withheld calls have their answers."""
        withheld = self._withheld[host]
        for call in calls:
            request, response = withheld.pop(call)
            self._run.withheld -= 1
            request.meta[ANSWER] = response
            self._bring(request)

    def _let_go(self, host: str) -> dict[Hashable, tuple[Request, Response]]:
        """Forget the withheld calls of a host."""
        withheld = self._withheld.pop(host, {})
        self._run.withheld -= len(withheld)
        return withheld

    def release_all(self) -> bool:
        """The same for all: nothing more will come that could tell. Whether there were any."""
        waiting = [(host, list(withheld)) for host, withheld in self._withheld.items() if withheld]
        for host, calls in waiting:
            self._release(host, calls)
        return bool(waiting)

    def _lost(self, door: Door) -> None:
        """Let another call try."""
        door.lost()
        self._wake()


def not_sent(request: Request, run: Run, why: str = "the run is stopping") -> StoppedError:
    """What to raise for a call that does not go out after all; what the ledger has of its going is taken back."""
    ticket: Ticket | None = request.meta.get(TICKET)
    if ticket is not None and ticket.is_noted:
        run.recording.unsent(ticket)
    return StoppedError(why)


def _is_about_time(response: Response) -> bool:
    """Whether it is a refusal of a call that came too early: pacing's, whatever the credentials."""
    return response.status == 403 and read_ending(403, response.headers, wall_s=time.time()).is_refusal
