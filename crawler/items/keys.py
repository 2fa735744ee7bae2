"""The keys that adapters share in `request.meta`."""

from __future__ import annotations

from typing import Final

TICKET: Final = "apifetch"
"""``request.meta`` key under which a Ticket travels from the spider to the store."""

NOT_BEFORE: Final = "apifetch_not_before"
"""``request.meta`` key: seconds of the monotonic clock before which the request must not go out."""

PUT_BACK: Final = "apifetch_put_back"
"""``request.meta`` key: the scheduler gave the request out, but its time has not come after all."""

REACH: Final = "apifetch_reach"
"""``request.meta`` key: how far in a redirect or a page may lead, a Scope's number; absent for the call of a line."""

STRANGER: Final = "apifetch_stranger"
"""``request.meta`` key: a redirect or a page of another origin led there, so nothing of the user's goes along."""

HOST: Final = "download_slot"
"""``request.meta`` key, Scrapy's: the host whose limits count. Scheduler and downloader fill it in."""

REFUSALS: Final = "apifetch_refusals"
"""``request.meta`` key: how many of its `retry_times` were refusals, which cost no retry."""
