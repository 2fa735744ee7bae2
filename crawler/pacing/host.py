"""When the next call to a host may go: all of pacing in one place.

Owns: the sum of what a host has said (refusals, Retry-After, RateLimit) and what the user has (workers,
rate). Knows no request and no queue: it is asked, told what started, and told how it ended.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crawler.pacing.allowance import Allowance
from crawler.pacing.backoff import Cause
from crawler.pacing.budget import RetryBudget
from crawler.pacing.chance import Chance
from crawler.pacing.hold import Held, Hold
from crawler.pacing.learned import LearnedPace
from crawler.pacing.policy import limiter_of, rate_of
from crawler.pacing.probing import FEW, Outage
from crawler.pacing.profile import NOTHING, Profile, read_profile
from crawler.pacing.rest import Rest

if TYPE_CHECKING:
    from crawler.pacing.backoff import Uniform
    from crawler.pacing.ending import Ending
    from crawler.pacing.learned import Pace
    from crawler.pacing.limiter import Call
    from crawler.pacing.policy import Policy


class Host:
    """One host. All times are seconds on one monotonic clock, except where they are called wall_s.

    name: by which other processes know it. uniform: randomness; tests pass min or max.
    """

    def __init__(self, policy: Policy, name: str = "", *, uniform: Uniform = random.uniform) -> None:
        self._policy = policy
        self._uniform = uniform
        self._limiter = limiter_of(policy)
        self._rate = rate_of(policy, name)
        self._pace = LearnedPace()
        self._allowance = Allowance()
        self.budget = RetryBudget(
            ratio=policy.retry_ratio, least_per_s=policy.retries_per_s, reserve=policy.retry_reserve
        )
        self._rest = Rest(uniform, name, policy.rests)
        self._admission = Allowance()
        self._outage = Outage(policy.outage, policy.shut_out, uniform)
        self._chance = Chance()
        self._before: tuple[int, float, Pace | None] = (1, 0.0, None)
        self._sound_pace = self._pace.pace  # before the first of the failures in a row
        self._known = NOTHING  # by an earlier run
        self._has_served = False  # an answer of any kind, but that it is too much
        self._is_calm = policy.rate is None  # nothing but the number of calls at once can be in the way

    # May one go?

    def when(self, now_s: float, on_way: int = 0) -> float | None:
        """Whether a call may go: None: now. Else the time to ask again; infinity: when a call has started or ended.

        on_way: calls that were let go and have not started. Where each has its time they go one by one.
        """
        limiter = self._limiter
        if now_s >= self._rest.look_s:
            self._rest_longer(self._rest.look(now_s))
        if self._is_calm and limiter.in_flight + on_way < limiter.limit:
            return None  # a tenth of the cost of asking everybody
        outage = self._outage
        if on_way and (self._rate is not None or self._pace.is_learned or outage.is_on):
            return math.inf
        at_s = max(
            self._rest.until_s,
            self._admission.next_at(now_s, on_way),
            self._allowance.next_at(now_s, on_way),
            self._pace.next_at(now_s),
            outage.next_at(now_s, limiter.in_flight) if outage.is_on else limiter.next_at(now_s, on_way),
        )
        if self._rate is not None:  # a shared one's turns are taken by those alone who may use them
            at_s = max(at_s, (self._rate.next_at if at_s <= now_s else self._rate.known_at)(now_s))
        if at_s > now_s:
            return at_s
        is_open = self._allowance.is_open and self._admission.is_open
        self._is_calm = is_open and self._rate is None and outage.is_calm and not self._pace.is_learned
        return None

    def retry_when(self, now_s: float, on_way: int = 0) -> float | None:
        """Whether a retry may go: as when(), with the budget for retries besides."""
        at_s = self.when(now_s, on_way)
        budget_s = self.budget.next_at(now_s)
        return at_s if budget_s <= now_s else max(at_s or budget_s, budget_s)

    def admit(self, calls: float) -> None:
        """Let only so many calls start, until this is said again; infinity: any number."""
        self._admission.only(calls)
        self._is_calm = False

    # What happened

    def started(self, now_s: float, *, retry: bool = False) -> Call:
        """Count a call that goes; what comes back is handed to ended() with how it ended."""
        self._allowance.started()
        self._admission.started()
        if self._rate is not None:
            self._rate.take(now_s)
        if retry:
            self.budget.take(now_s)
        call = self._limiter.started(now_s)
        self._pace.started(call)
        self._outage.started(call, now_s)
        return call

    def ended(self, call: Call, now_s: float, ending: Ending) -> None:
        """Learn from how a call ended; exactly once for each Call."""
        status = ending.status
        if status is not None and status < 400 and ending.hint is None and ending.failed is None:
            self._succeeded(call, now_s)
            return
        self._is_calm = False
        if self._outage.is_calm:
            self._sound_pace = self._pace.pace
        if ending.hint is not None:
            others = self._limiter.in_flight - 1  # what they are worth is not yet taken off
            self._allowance.told(ending.hint, now_s, others, self._uniform)
        is_error = ending.cause is Cause.SERVER and self._outage.is_error_pushback(call)
        if is_error or ending.is_plain_pushback:
            self._pushed_back(call, now_s, ending)
        elif ending.is_pushback:
            self._failed(call, now_s, ending)
        elif ending.cause is None and ending.status is not None:
            self._succeeded(call, now_s)
        else:
            self._limiter.ended(call)
        if ending.asked_s is not None:
            self._rest_longer(self._rest.asked(now_s, ending.asked_s, ending.asked_by))

    def _succeeded(self, call: Call, now_s: float) -> None:
        self._has_served = True
        self._limiter.succeeded(call, now_s)
        self._pace.succeeded(call.at_s)
        self.budget.succeeded()
        if self._outage.succeeded(call):
            self._limiter.recovered()
            self._pace = LearnedPace.at(self._sound_pace)
        if self._chance.is_on:
            self._chance.served(call)
            self._judge(now_s)

    def retry_at(self, now_s: float, attempt: int, ending: Ending) -> float | None:
        """Give the time for retry number *attempt* (from 1) of a call; None when it has no reason to be made again.

        ValueError when attempt < 1. Ask retry_when() once that time has come.
        """
        cause = ending.cause
        if cause is None:
            return None
        return now_s + self._policy.backoffs[cause].rest_s(attempt, ending.asked_s, uniform=self._uniform)

    def _pushed_back(self, call: Call, now_s: float, ending: Ending) -> None:
        is_round = self._limiter.pushed_back(call, now_s)
        # 503 is what a limit says, or a proxy without a server: a host that means the first says when to come back
        is_refused = ending.status == 429 or ending.is_refusal
        self._outage.failed(call, now_s, is_round=is_round, is_refused=is_refused, in_a_row=self._chance.most_in_a_row)
        self._pace.refused(call, now_s, is_event=is_round and ending.cause is Cause.THROTTLED)

    def _failed(self, call: Call, now_s: float, ending: Ending) -> None:
        """Count a failure that does not say whether it means that it is too much."""
        chance = self._chance
        if self._outage.is_on:
            chance.reset()
        else:
            chance.failed(call, self._limiter.calls)
            self._judge(now_s)
        if self._outage.is_on or chance.is_pushback:
            self._pushed_back(call, now_s, ending)
        else:
            is_round = self._limiter.in_flight <= FEW
            self._limiter.ended(call)
            self._pace.lost(call)
            self._outage.failed(call, now_s, is_round=is_round, is_refused=False, in_a_row=chance.most_in_a_row)

    def _judge(self, now_s: float) -> None:
        """Give back what failures have cost the host's calls, if they were chance."""
        chance = self._chance
        if not chance.is_known:
            self._before = self._limiter.limit, self._pace.present_per_s(now_s), self._pace.pace
        limit, per_s, pace = self._before
        speed = self._limiter.limit / limit
        if self._pace.per_s is not None and per_s:
            speed = min(speed, self._pace.per_s / per_s)
        if chance.judge(speed, self._limiter.calls):
            self._limiter.give_back(limit, now_s)
            self._pace = LearnedPace.at(pace)

    def _rest_longer(self, seconds: float) -> None:
        if seconds:
            self._pace.rested(seconds)
            self._is_calm = False

    # For the report, and for the next run

    @property
    def limit(self) -> int:
        """How many calls at once are allowed at this moment."""
        return self._limiter.limit

    @property
    def in_flight(self) -> int:
        """How many calls have started and not ended."""
        return self._limiter.in_flight

    @property
    def is_cut(self) -> bool:
        """Whether fewer calls at once are allowed since some were pushed back."""
        return self._limiter.is_cut

    @property
    def is_found(self) -> bool:
        """Whether the number of calls at once is what `auto` was looking for."""
        return self._limiter.is_found

    def held_by(self, now_s: float, on_way: int = 0, *, retry: bool = False) -> Held | None:
        """What keeps the next call from going, or None; nothing begins or ends by asking. on_way: as for when()."""
        if self._outage.is_on:
            return Held(Hold.OUTAGE, max(self._rest.until_s, self._outage.next_at(now_s, 0), now_s))
        holds = [
            Held(Hold.CREDENTIALS, self._admission.next_at(now_s)),
            Held(Hold.ASKED, self._rest.until_s, self._rest.asked_by),
            Held(Hold.HEADERS, self._allowance.next_at(now_s), self._allowance.said_by),
            Held(Hold.REFUSED, math.inf if on_way and self._pace.is_learned else self._pace.next_at(now_s)),
            Held(Hold.RETRIES, self.budget.next_at(now_s) if retry else now_s),
        ]
        if self._rate is not None:
            holds.append(Held(Hold.RATE, math.inf if on_way else self._rate.known_at(now_s), str(self._policy.rate)))
        held = max(holds, key=lambda one: one.until_s)
        if held.until_s > now_s:
            return held
        return Held(Hold.WORKERS, math.inf) if self._limiter.in_flight >= self._limiter.limit else None

    @property
    def pace_per_s(self) -> float | None:
        """The pace that the host's refusals have taught, calls per second; None: none."""
        return self._pace.per_s

    @property
    def down_since_s(self) -> float | None:
        """Since when every call was pushed back; None while some succeed. For how long is the caller's to decide."""
        return self._outage.since_s

    @property
    def excuses(self) -> bool:
        """Whether calls fail by the host's fault, so that it costs them nothing."""
        return self._outage.excuses

    @property
    def profile(self) -> Profile:
        """What it has taught. That it serves nothing is no number of calls: then what was known before."""
        if not self._has_served:
            return self._known
        return Profile.of(self._limiter.learned, self._pace.pace)

    def is_as_new(self, now_s: float) -> bool:
        """Whether nothing is on its way, and there is nothing to remember but successes."""
        is_idle = not self._limiter.in_flight and self._outage.is_calm and self._admission.is_open
        return is_idle and not self._pace.is_learned and self.state(now_s=now_s, wall_s=now_s) == {}

    def state(self, *, now_s: float, wall_s: float) -> dict[str, Any]:
        """Give what a later run has to know, as JSON can hold it, with times in seconds since 1970."""
        rests_until_s = max(self._rest.until_s, self._allowance.next_at(now_s))
        state: dict[str, Any] = {}
        if rests_until_s > now_s:
            state["rests_until_s"] = rests_until_s - now_s + wall_s
        if profile := self.profile.state(wall_s):
            state["learned"] = profile
        if self._rate is not None and any((rate := self._rate.state(now_s=now_s, wall_s=wall_s)).values()):
            state["rate"] = rate
        return state

    def restore(self, state: Mapping[str, Any], *, now_s: float, wall_s: float) -> None:
        """Take over what an earlier run has left; before the first call. ValueError when it is no such state."""
        rate, rests_until = state.get("rate", {}), state.get("rests_until_s", 0.0)
        if not isinstance(rate, Mapping) or not isinstance(rests_until, int | float):
            raise ValueError("a host's state cannot be read")  # noqa: TRY004  # it is data, not a type in code
        known = self._known = read_profile(state.get("learned"), wall_s=wall_s)
        if known.learned is not None:
            self._limiter = limiter_of(self._policy, known.learned)
        if known.pace is not None:
            self._pace = LearnedPace.at(known.pace)
        self._is_calm = False
        if rests_until > wall_s:
            self._rest.until_s = now_s + rests_until - wall_s
        if self._rate is not None:
            self._rate.restore(rate, now_s=now_s, wall_s=wall_s)
