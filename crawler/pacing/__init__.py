"""When may a call go: the user's limits, the host's, and what refusals teach.

Owns: every decision about time. Time, randomness and headers come in as values; there is no clock here,
no request; what it keeps in queues is anything.
"""

from crawler.pacing.again import MOST_EXCUSED, AgainRule
from crawler.pacing.backoff import BACKOFFS, Backoff, Cause, backoffs, cause_of, outage, shut_out
from crawler.pacing.budget import RetryBudget
from crawler.pacing.ending import Ending, read_ending
from crawler.pacing.hold import Held, Hold
from crawler.pacing.host import Host
from crawler.pacing.limiter import Call, Limiter
from crawler.pacing.policy import Policy
from crawler.pacing.profile import Profile
from crawler.pacing.rate import RATE, Quota, Rate, RateLimiter
from crawler.pacing.rate_limit import Hint, read_hint
from crawler.pacing.resting import Resting
from crawler.pacing.retry_after import retry_after_s
from crawler.pacing.shared import Shared, SharedRate
from crawler.pacing.shared_rests import SharedRests
from crawler.pacing.traffic import Stop, Traffic

__all__ = [
    "BACKOFFS",
    "MOST_EXCUSED",
    "RATE",
    "AgainRule",
    "Backoff",
    "Call",
    "Cause",
    "Ending",
    "Held",
    "Hint",
    "Hold",
    "Host",
    "Limiter",
    "Policy",
    "Profile",
    "Quota",
    "Rate",
    "RateLimiter",
    "Resting",
    "RetryBudget",
    "Shared",
    "SharedRate",
    "SharedRests",
    "Stop",
    "Traffic",
    "backoffs",
    "cause_of",
    "outage",
    "read_ending",
    "read_hint",
    "retry_after_s",
    "shut_out",
]
