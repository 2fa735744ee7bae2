"""The address guard for Scrapy's own handler: asked for each name that Twisted's reactor has looked up.

That handler connects to the very address that is judged here. libcurl looks names up itself, and asks in
crawler.wire.curl.guarding; handlers that do neither are guarded by the names of hosts alone.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from scrapy.resolver import CachingThreadedResolver
from twisted.internet.error import DNSLookupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from crawler.addresses import Attempt

ATTEMPT: Final[ContextVar[Attempt | None]] = ContextVar("attempt", default=None)
"""Of the call that is being made. None: whatever is looked up now is no call's host, or may be connected to."""


class GuardedResolver(CachingThreadedResolver):
    """Scrapy's, but a name has no address where its call may not go."""

    def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:  # noqa: N802  # Twisted's name
        attempt = ATTEMPT.get()
        looked_up = super().getHostByName(name, timeout)
        return looked_up if attempt is None else looked_up.addCallback(_allowed, attempt)


def _allowed(address: str, attempt: Attempt) -> str:
    if not attempt.allows(address):
        raise DNSLookupError(attempt.refused)
    return address
