"""What comes of a host that refuses credentials: its calls wait, the secrets are read again, one call at a time tries.

Translates between calls and the run's doors, and reads the secrets again; what a refusal means is decided in
crawler.credentials, and how many calls may go in is told to pacing. So nothing waits here, and nothing that waits
holds a worker: a call that is to go again goes back to the scheduler, at no cost of a retry; one of which others will
tell what its refusal means is withheld, and comes by once more for its answer, or to go again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Final

from crawler.credentials import REFUSING, Door, Verdict, says_nothing
from crawler.exceptions import SecretError, StoppedError, WithheldError
from crawler.items import PUT_BACK, TICKET
from crawler.pacing import read_ending
from crawler.wire.filling import Whose

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

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

REFUSED_S: Final = "apifetch_refused_s"
"""``request.meta`` key: when a call that goes again was refused."""


class Trip:
    """A call on its way. sent_s: when it was sent, on the monotonic clock; before: never."""

    __slots__ = ("host", "request", "sent_s")

    def __init__(self, request: Request, host: str) -> None:
        self.request, self.host, self.sent_s = request, host, -math.inf


class Doorkeeper:
    """Of one run. bring: has the engine make a request. window: Door's."""

    def __init__(self, run: Run, filling: Filling, bring: Callable[[Request], None], *, window: int) -> None:
        self._run = run
        self._bring = bring
        self._filling = filling
        self._doors = run.doors
        self._withheld: dict[str, dict[Hashable, tuple[Request, Response]]] = {}  # by host
        self._renewals: set[asyncio.Task[None]] = set()
        self._renewing = asyncio.Lock()
        self._window = window
        self._read_s = -math.inf
        self._changed_s = -math.inf

    async def close(self) -> None:
        """End what reads the secrets again, the command too."""
        for renewal in self._renewals:
            renewal.cancel()
        await asyncio.gather(*self._renewals, return_exceptions=True)

    # What the host says

    def answer_of(self, trip: Trip, response: Response) -> Response:
        """Give the response, if it is the call's answer. Raises WithheldError: it has none yet."""
        door = self._doors.get(trip.host)
        if response.status not in REFUSING and (door is None or door.is_calm):
            return response  # what most calls of a run are, also of one whose token died once
        ticket: Ticket | None = trip.request.meta.get(TICKET)
        carries = self._filling.credentials_in(trip.request)
        if ticket is None or carries is None or says_nothing(response.status) or _is_about_time(response):
            return response
        if response.status in REFUSING:
            if door is None:
                door = self._doors[trip.host] = Door(self._window)
            self._refused(door, trip, response, ticket, strict=response.status == 401 and carries is Whose.OURS)
        elif door is not None:
            self._accepted(door, trip)
        return response

    def _refused(self, door: Door, trip: Trip, response: Response, ticket: Ticket, *, strict: bool) -> None:
        """Return when that is the call's answer. Raises WithheldError."""
        host, now_s = trip.host, time.monotonic()
        was_shut, was_dead = door.is_shut, door.is_dead
        before_s = trip.request.meta.pop(REFUSED_S, None)
        verdict = door.refused(ticket.uuid, now_s, sent_s=trip.sent_s, strict=strict, before_s=before_s)
        if door.is_shut and not was_shut:
            self._shut(door, host, response.status)
        if door.is_dead and not was_dead:
            logger.error(DEAD, host, response.status)
            self._let_go(host)  # they are left
        if verdict is Verdict.ANSWER:
            return
        if ticket.is_noted:
            self._run.recording.unsent(ticket)  # it was not carried out
        request = trip.request.copy()
        if verdict is Verdict.LATER:
            self._withheld.setdefault(host, {})[ticket.uuid] = (request, response)
            self._run.aside.withheld += 1
            raise WithheldError(f"{response.status}: what comes of others will tell what it means")
        request.meta.update({REFUSED_S: now_s, PUT_BACK: True})
        self._bring(request)
        raise WithheldError(f"{response.status}: it is made again, as soon as it may go in")

    def _accepted(self, door: Door, trip: Trip) -> None:
        if door.accepted(time.monotonic(), sent_s=trip.sent_s):
            logger.info("%s takes the credentials: going on", trip.host)
            self._run.traffic.admit(trip.host, math.inf)
        withheld = self._withheld.get(trip.host)
        if withheld:
            self._release(trip.host, [call for call in withheld if not door.is_open_question(call)])

    # Withheld calls

    def withheld_answer(self, request: Request) -> Response | None:
        """Give the answer of a call that comes by for it; None for one that is to go out."""
        answer: Response | None = request.meta.pop(ANSWER, None)
        if answer is not None:
            request.meta[TICKET].attempts -= 1  # it was counted on its way here, and does not go out
        return answer

    def _release(self, host: str, calls: Iterable[Hashable]) -> None:
        """Let withheld calls have their answers."""
        withheld = self._withheld[host]
        for call in calls:
            request, response = withheld.pop(call)
            self._run.aside.withheld -= 1
            request.meta[ANSWER] = response
            self._bring(request)

    def _let_go(self, host: str) -> dict[Hashable, tuple[Request, Response]]:
        """Forget the withheld calls of a host."""
        withheld = self._withheld.pop(host, {})
        self._run.aside.withheld -= len(withheld)
        return withheld

    def release_all(self) -> bool:
        """The same for all: nothing more will come that could tell. Whether there were any."""
        waiting = [(host, list(withheld)) for host, withheld in self._withheld.items() if withheld]
        for host, calls in waiting:
            self._release(host, calls)
        return bool(waiting)

    # A door that is shut

    def _shut(self, door: Door, host: str, status: int) -> None:
        logger.warning(SHUT, host, status)
        self._run.traffic.admit(host, 0)
        renewal = asyncio.ensure_future(self._renew(door, host))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)

    async def _renew(self, door: Door, host: str) -> None:
        """Have the secrets read again; then one call may try."""
        shut_s = door.shut_s
        try:
            await self._read(shut_s)
            if self._changed_s >= shut_s and not self._run.stopping.begun.is_set():
                door.renewed(time.monotonic())
                for request, _ in self._let_go(host).values():  # what they were refused is no answer any more
                    self._bring(request)
        finally:
            if door.shut_s == shut_s:
                self._let_one_try(door, host)

    async def _read(self, shut_s: float) -> None:
        """Read the secrets, once for all doors that are shut meanwhile."""
        secrets = self._run.plan.secrets
        async with self._renewing:
            if not secrets.may_change or self._read_s >= shut_s:
                return
            try:
                is_new = await secrets.renew()
            except SecretError as exc:
                logger.warning("The secrets cannot be read again: %s", exc)
            else:
                logger.info("The secrets are read again: %s", "they are new" if is_new else "they are as before")
                if is_new:
                    self._changed_s = time.monotonic()
            self._read_s = time.monotonic()

    def ended(self, trip: Trip) -> None:
        """Take note of a call's end, with or without an answer: the next one may try, if this one did."""
        door = self._doors.get(trip.host)
        if door is not None and door.is_tried(trip.sent_s):
            self._let_one_try(door, trip.host)

    def _let_one_try(self, door: Door, host: str) -> None:
        if door.is_shut and not door.is_dead:
            self._run.traffic.admit(host, 1)


def not_sent(request: Request, run: Run, why: str = "the run is stopping") -> StoppedError:
    """What to raise for a call that does not go out after all; what the ledger has of its going is taken back."""
    ticket: Ticket | None = request.meta.get(TICKET)
    if ticket is not None and ticket.is_noted:
        run.recording.unsent(ticket)
    return StoppedError(why)


def _is_about_time(response: Response) -> bool:
    """Whether it is a refusal of a call that came too early: pacing's, whatever the credentials."""
    return response.status == 403 and read_ending(403, response.headers, wall_s=time.time()).is_refusal
