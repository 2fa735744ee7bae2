"""Why is it not faster? What was in the way at a moment, from what was measured then; and the sentence for people.

Owns: the order in which causes are looked at, and the words. Pure: measurements in, a verdict out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from crawler.amounts import about, counted, milliseconds, per_second
from crawler.pacing import Hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawler.pacing import Held

BUSY: Final = 0.9
"""Part of a core from which on the program does nothing but compute: the rest is the waiting between turns."""

FULL: Final = 0.9
"""Part of the calls at once that are on their way when all are at work: an answer takes a moment to be replaced."""


class Limit(StrEnum):
    """What is in the way of more calls per second."""

    LATENCY = "latency"  # all workers wait for answers
    AUTO = "auto"  # workers=auto has found that more at once bring no more
    START = "start"  # the number of calls at once is still growing
    RATE = "rate"  # the user's `rate`
    HEADERS = "headers"  # the API's count of calls, told in its headers
    ASKED = "asked"  # the API has asked to wait
    REFUSED = "refused"  # the API refuses more
    OUTAGE = "outage"  # nothing succeeds
    RETRIES = "retries"  # only what has failed is left, and rests
    CREDENTIALS = "credentials"  # the API refuses them
    CPU = "cpu"  # of this machine
    DISK = "disk"  # the writer does not keep up
    LIST = "list"  # lines come more slowly than calls are made
    END = "end"  # the list is over, the last calls are on their way
    CODE = "code"  # calls are ready and workers are free: middlewares, pipelines or callbacks take their time


SHORT: Final = {
    Limit.LATENCY: "waiting for answers",
    Limit.AUTO: "the number that workers=auto found",
    Limit.START: "starting",
    Limit.RATE: "your rate",
    Limit.HEADERS: "the API's count of calls",
    Limit.ASKED: "the API asked to wait",
    Limit.REFUSED: "the API refused more",
    Limit.OUTAGE: "the API was down",
    Limit.RETRIES: "retries rested",
    Limit.CREDENTIALS: "the API refused the credentials",
    Limit.CPU: "this machine's CPU",
    Limit.DISK: "the disk",
    Limit.LIST: "lines came slowly",
    Limit.END: "the end of the list",
    Limit.CODE: "code in the way",
}
"""Each in a few words, for a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a look at the run saw.

    in_flight: calls on their way. limit: how many are allowed now; ceiling: how many are wanted; knob: the argument
    for that. ready: calls that wait for nothing; held: calls that wait for their hosts, held_by what; resting:
    those that rest until a time of their own. has_room: whether the writer takes records. is_read: whether the list is
    read to its end. is_cut: whether refusals keep limit below ceiling. is_down: whether nothing succeeds. is_found:
    whether `workers=auto` has found what it looked for. cpu: part of a core that the program used since the last look,
    or wanted and did not get.
    """

    in_flight: int
    limit: int
    ceiling: int
    ready: int = 0
    held: int = 0
    held_by: Held | None = None
    resting: int = 0
    has_room: bool = True
    is_read: bool = False
    is_cut: bool = False
    is_down: bool = False
    is_found: bool = False
    knob: str = "workers"
    cpu: float = 0.0


_HELD: Final = {
    Hold.RATE: Limit.RATE,
    Hold.HEADERS: Limit.HEADERS,
    Hold.ASKED: Limit.ASKED,
    Hold.REFUSED: Limit.REFUSED,
    Hold.OUTAGE: Limit.OUTAGE,
    Hold.RETRIES: Limit.RETRIES,
    Hold.CREDENTIALS: Limit.CREDENTIALS,
}


def limit_of(moment: Moment) -> Limit:  # noqa: PLR0911  # a list of cases, in the order in which they are looked at
    """Give what was in the way."""
    if moment.cpu >= BUSY:  # first, since a program that lags makes answers look slow and queues look full
        return Limit.CPU
    if not moment.has_room:
        return Limit.DISK
    if moment.is_down:
        return Limit.OUTAGE
    if moment.in_flight >= FULL * moment.limit:
        if moment.limit >= moment.ceiling:
            return Limit.LATENCY
        if moment.is_cut:
            return Limit.REFUSED
        return Limit.AUTO if moment.is_found else Limit.START
    if moment.held and moment.held_by is not None and moment.held_by.hold in _HELD:
        return _HELD[moment.held_by.hold]
    if moment.ready:
        return Limit.CODE
    if not moment.is_read:
        return Limit.LIST
    return Limit.RETRIES if moment.resting > moment.in_flight else Limit.END


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What stands behind a verdict: averages over the looks that had the same limit.

    knob, cpu: as in Moment. calls_per_s, p50_ms: of the same time; p50_ms None without a call. refused: calls that the
    API refused. pace_per_s: what its refusals have taught, None when calls do not wait for that. said_by: the header or
    argument. wait_s: until it ends, 0 when that is not known.
    """

    in_flight: float = 0.0
    ceiling: int = 1
    knob: str = "workers"
    cpu: float = 0.0
    calls_per_s: float = 0.0
    p50_ms: float | None = None
    refused: int = 0
    pace_per_s: float | None = None
    said_by: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer. share: part of the time in which this limit was in the way, 0 to 1."""

    limit: Limit
    share: float
    sentence: str


def sentence(limit: Limit, at: Measured) -> str:
    """Say it, with what was measured."""
    if limit is Limit.LATENCY:
        return _latency(at)
    api = "Limited by the API's rate limit"
    wait = f"; goes on in {about(at.wait_s)}" if at.wait_s >= 1 else ""
    workers = counted(round(at.in_flight), "call")
    taken = f"about {per_second(at.pace_per_s)} a second" if at.pace_per_s else f"{workers} at once, of {at.ceiling}"
    refused = f"it refused {counted(at.refused, 'call')} (429, 503 and the like)"
    if not at.refused:
        refused = "calls broke, or were refused in an earlier run"
    said = {
        Limit.AUTO: f"Limited by the API: more than {workers} at once (workers=auto) bring no more",
        Limit.START: f"Starting: {workers} at once so far, of {at.ceiling}",
        Limit.RATE: f"Limited by rate={at.said_by}, as asked{wait}",
        Limit.HEADERS: f"{api}: {at.said_by or 'its count'} says that no calls are left{wait}",
        Limit.ASKED: f"{api}: it asked to wait ({at.said_by or 'no header'}){wait}",
        Limit.REFUSED: f"{api}: {refused}, and it takes {taken}",
        Limit.OUTAGE: f"The API answers nothing: one call at a time finds out whether it is back{wait}",
        Limit.RETRIES: "Only calls that failed before are left, and they rest before they are tried again",
        Limit.CREDENTIALS: "The API refuses the credentials: they are read again, and one call at a time tries",
        Limit.CPU: f"Limited by this machine's CPU: the program used, or waited for, {at.cpu:.0%} of a core",
        Limit.DISK: "Limited by the disk: what is to be written comes faster than it can be made durable",
        Limit.LIST: "Limited by the list: its lines come more slowly than calls are made",
        Limit.END: f"Limited by the list: its end is reached, with {workers} of {at.ceiling} on the way",
        Limit.CODE: "Limited by middlewares, pipelines or callbacks: calls are ready and workers are free",
    }
    return said[limit]


def why_of_all(limits: Sequence[Limit], parts: int) -> Verdict | None:
    """Say what is in the way of most of several parts of a list. limits: of those that know; None: none does."""
    if not limits:
        return None
    ((limit, count),) = Counter(limits).most_common(1)
    said = f"In the way, of {count} of {parts} parts: {SHORT[limit]}"
    return Verdict(limit=limit, share=count / parts, sentence=said)


def _latency(at: Measured) -> str:
    """All workers wait: what twice as many would give, as far as this machine's CPU goes."""
    workers = at.ceiling
    busy = f"all {workers} workers wait" if workers > 1 else "the only worker waits"
    taken = f", {milliseconds(at.p50_ms)} a call" if at.p50_ms is not None else ""
    said = f"Limited by the API's latency: {busy} for answers{taken}"
    if not at.calls_per_s:
        return said
    gain = min(2.0, BUSY / at.cpu) if at.cpu > 0 else 2.0
    if gain < 1.1:
        return f"{said}; more workers would not help, since this machine's CPU is busy too ({at.cpu:.0%} of a core)"
    more = f"{at.knob}={2 * workers} would give about {per_second(gain * at.calls_per_s)} calls/s"
    return f"{said}; {more}, if the API keeps up" + (", all that this CPU can do" if gain < 2 else "")
