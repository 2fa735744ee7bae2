"""The calls of a run: which may go, which are on their way, and when there is no sense in going on.

Owns: the count of calls, the budget of them, and the reasons to stop. Knows no request: things come in with
the name of their host, a priority and a time. All times are seconds on one monotonic clock.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from crawler.pacing.host import Host
from crawler.pacing.lane import Lane
from crawler.pacing.profile import NOTHING, Profile
from crawler.pacing.queues import Queues

if TYPE_CHECKING:
    from crawler.pacing.ending import Ending
    from crawler.pacing.hold import Held
    from crawler.pacing.limiter import Call
    from crawler.pacing.policy import Policy

T = TypeVar("T")

GIVEN_UP_S: Final = 600.0
"""A host that answers nothing for ten minutes will not do so soon."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why going on makes no sense now. at_s: when it does, where that is known."""

    reason: str
    at_s: float | None = None


class Traffic(Queues[T]):
    """All that waits and all that is on its way. max_calls: the most calls in all, None for any number."""

    def __init__(self, policy: Policy, *, max_calls: int | None = None) -> None:
        super().__init__(policy)
        self.calls = 0
        """Calls that started."""
        self.in_flight = 0
        """Of these, how many have not ended."""
        self.refused = 0
        """How many the hosts pushed back: 429, 503 and the like."""
        self.is_short = False
        """Whether a call was refused since max_calls are used up."""
        self._max_calls = max_calls

    def pop(self, now_s: float) -> T | None:
        if self._max_calls is not None and self._is_used_up:
            return None
        return super().pop(now_s)

    def may_go(self, host: str, now_s: float, thing: T) -> float | None:
        """Whether a call may go at this moment: None: now. Else as Host.when() says. thing: what it is made of.

        Whoever does not ask pop() asks here; once calls are used up they never may.
        """
        lane = self._lane(host)
        is_given = thing in self._given
        if self._max_calls is not None and not is_given and self._is_used_up:
            self.is_short = True
            return math.inf
        # what came another way may be a part of what was given out, which waits for it: a token that is fetched first
        return lane.host.when(now_s, lane.on_way - 1 if is_given else 0)

    def started(self, host: str, now_s: float, *, thing: T, retry: bool) -> Call:
        """Count a call that goes; what comes back is handed to ended(). thing: what it is made of."""
        self.calls += 1
        self.in_flight += 1
        self._forget(now_s)
        call = self._lane(host).host.started(now_s, retry=retry)
        if self.left(thing):
            self.changed()
        return call

    def ended(self, host: str, call: Call, now_s: float, ending: Ending) -> None:
        """Learn from how a call ended; exactly once for each."""
        lane = self._lane(host)
        self.in_flight -= 1
        if ending.status is not None and ending.status >= 400:
            self.refused += ending.is_pushback
        lane.host.ended(call, now_s, ending)
        self._ask_again(lane)

    def admit(self, host: str, calls: float) -> None:
        """Let only so many calls to a host start, until this is said again; infinity: as many as pacing lets go."""
        lane = self._lane(host)
        lane.host.admit(calls)
        if self._ask_again(lane):
            self.changed()

    @property
    def _is_used_up(self) -> bool:
        return self._max_calls is not None and self.calls + len(self._given) >= self._max_calls

    def excuses(self, host: str) -> bool:
        """Whether calls to a host fail by its fault at this moment, so that no retry is used up."""
        return self._lane(host).host.excuses

    # The end

    def stop(self, now_s: float, *, read_to_end: bool) -> Stop | None:
        """Give the reason to stop, when all that is left has to wait too long. read_to_end: no more will be brought."""
        if self._is_used_up and (len(self) or self.is_short):
            return None if self.in_flight or self._given else Stop("max_calls")
        if not len(self) or not (read_to_end or self.is_full):
            return None
        down = [lane.host.down_since_s for lane in self._lanes.values() if lane or lane.resting]
        if all(since_s is not None and now_s - since_s >= GIVEN_UP_S for since_s in down):
            return Stop("down")
        if self.in_flight or self._given:
            return None
        at_s = self.next_at()
        if self.ready or at_s is None or at_s - now_s <= self.policy.max_wait_s or self._awaits_a_word:
            return None
        return Stop("waits", at_s)

    @property
    def _awaits_a_word(self) -> bool:
        """Whether something waits for a time that nobody knows: with nothing on its way, for admit()."""
        return any(lane.wait_s == math.inf for lane in self._lanes.values() if lane and lane.is_blocked)

    # For the report, and for the next run

    def retry_budget(self) -> dict[str, float]:
        """Give what retries a host is allowed, and the fewest that any host had left, as docs/output.md has it."""
        policy = self.policy
        lowest = min((lane.host.budget.lowest for lane in self._lanes.values()), default=policy.retry_reserve)
        return {
            "per_success": policy.retry_ratio, "per_s": policy.retries_per_s, "reserve": policy.retry_reserve,
            "lowest": round(lowest, 1),
        }  # fmt: skip

    def limit(self, most: int) -> int:
        """Give how many calls at once are allowed at this moment, at most *most*."""
        return min(most, sum(lane.host.limit for lane in self._lanes.values()))

    def ceiling(self, most: int) -> int:
        """Give how many calls at once are wanted, at most *most*: workers, or per_host for each of the hosts."""
        return min(most, max(1, len(self._lanes)) * self.policy.per_host)

    @property
    def is_cut(self) -> bool:
        """Whether refusals keep the calls at once below what is wanted."""
        return any(lane.host.is_cut for lane in self._lanes.values())

    @property
    def is_found(self) -> bool:
        """Whether `auto` has found how many calls at once are worth it, at some host at least."""
        return any(lane.host.is_found for lane in self._lanes.values())

    @property
    def is_down(self) -> bool:
        """Whether nothing succeeds at any host for which something waits or is on its way."""
        hosts = [lane.host for lane in self._lanes.values() if lane or lane.resting or lane.host.in_flight]
        return bool(hosts) and all(host.down_since_s is not None for host in hosts)

    def held_by(self, now_s: float) -> Held | None:
        """What keeps the most of what waits from going; None when nothing does."""
        lane = max((lane for lane in self._lanes.values() if len(lane)), key=len, default=None)
        if lane is None:
            return None
        # who is asked again late, has waited until then for what was in the way before
        at_s = lane.asked_s if lane.is_blocked else now_s
        return lane.host.held_by(at_s, lane.on_way, retry=not lane.fresh)

    @property
    def pace_per_s(self) -> float | None:
        """The pace that refusals have taught, over all hosts; None: none."""
        paces = [pace for lane in self._lanes.values() if (pace := lane.host.pace_per_s) is not None]
        return sum(paces) if paces else None

    def profiles(self) -> dict[str, Profile]:
        """Give what each host has taught, as far as it has."""
        profiles = {name: lane.host.profile for name, lane in self._lanes.items()}
        return {name: profile for name, profile in profiles.items() if profile != NOTHING}

    def state(self, *, now_s: float, wall_s: float) -> dict[str, Any]:
        """Give what a later run has to know of each host, as JSON can hold it. wall_s: seconds since 1970."""
        states = {name: lane.host.state(now_s=now_s, wall_s=wall_s) for name, lane in self._lanes.items()}
        return {name: state for name, state in states.items() if state}

    def restore(self, noted: str, *, now_s: float, wall_s: float) -> None:
        """Take over what an earlier run has left, JSON. What cannot be read is left out: it is no more than a hint."""
        try:
            states = json.loads(noted).items()
        except (ValueError, AttributeError):
            return
        for name, state in states:
            host = Host(self.policy, name)
            with suppress(ValueError, AttributeError):
                host.restore(state, now_s=now_s, wall_s=wall_s)
                self._lanes[name] = Lane(host)
