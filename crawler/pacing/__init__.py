"""When may a call go: the user's limits, the host's, and what refusals teach.

Owns: every decision about time. Time, randomness and headers come in as values; there is no clock here,
no request and no queue but one of things that rest.
"""

from crawler.pacing.backoff import BACKOFFS, Backoff, Cause, cause_of
from crawler.pacing.budget import RetryBudget
from crawler.pacing.host import Ending, Host, Policy
from crawler.pacing.limiter import Call, Limiter
from crawler.pacing.rate import RATE, Quota, Rate, RateLimiter
from crawler.pacing.rate_limit import Hint, read_hint
from crawler.pacing.resting import Resting
from crawler.pacing.retry_after import retry_after_s

__all__ = [
    "BACKOFFS",
    "RATE",
    "Backoff",
    "Call",
    "Cause",
    "Ending",
    "Hint",
    "Host",
    "Limiter",
    "Policy",
    "Quota",
    "Rate",
    "RateLimiter",
    "Resting",
    "RetryBudget",
    "cause_of",
    "read_hint",
    "retry_after_s",
]
