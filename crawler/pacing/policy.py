"""What holds for every host of a run: the user's limits, and how long what failed rests.

Owns: the numbers and their defaults, and which limiter and which rate they ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crawler.pacing.auto import AutoLimiter
from crawler.pacing.backoff import BACKOFFS, Backoff, Cause, outage, shut_out
from crawler.pacing.budget import LEAST_PER_S, RATIO, RESERVE
from crawler.pacing.limiter import Learned, Limiter
from crawler.pacing.rate import Rate, RateLimiter
from crawler.pacing.shared import Shared, SharedRate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.pacing.shared_rests import SharedRests


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for every host.

    per_host: the most calls at once. auto: find the number, up to per_host. rate: None for none.
    shared: where other processes keep to the same rate; rests: where they tell what they were asked for; None: there
    are none.
    max_wait_s: when only what has to wait longer is left, going on makes no sense (Traffic.stop).
    """

    per_host: int
    auto: bool = False
    rate: Rate | None = None
    shared: Shared | None = None
    rests: SharedRests | None = None
    max_wait_s: float = 300.0
    backoffs: Mapping[Cause, Backoff] = field(default_factory=lambda: BACKOFFS)
    outage: Backoff = field(default_factory=lambda: outage(1.0, 60.0))
    shut_out: Backoff = field(default_factory=lambda: shut_out(1.0, 60.0))
    retry_ratio: float = RATIO
    retries_per_s: float = LEAST_PER_S
    retry_reserve: float = RESERVE


def rate_of(policy: Policy, name: str) -> RateLimiter | SharedRate | None:
    if policy.rate is None:
        return None
    return RateLimiter(policy.rate) if policy.shared is None else SharedRate(policy.rate, name, policy.shared)


def limiter_of(policy: Policy, learned: Learned | None = None) -> Limiter:
    kind = AutoLimiter if policy.auto else Limiter
    return kind(policy.per_host, learned)
