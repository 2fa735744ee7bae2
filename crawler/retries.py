"""The downloader middleware in the place of Scrapy's RetryMiddleware: retries that wait, Retry-After obeyed.

Translates what came into an Ending; what is made again, and when, is decided in crawler.pacing.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from scrapy.exceptions import NotConfigured
from scrapy.utils.misc import load_object
from scrapy.utils.response import response_status_message

from crawler.pacing import Cause, Ending, read_ending
from crawler.retrying import Retrying

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response


class RetryMiddleware:
    """Scrapy's retry settings, meta keys and stats, with rests between the attempts (docs/pacing.md)."""

    def __init__(self, crawler: Crawler) -> None:
        self._retrying = Retrying(crawler)
        self._exceptions: list[Any] = crawler.settings.getlist("RETRY_EXCEPTIONS")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.getbool("RETRY_ENABLED"):
            raise NotConfigured
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        if response.status < 400 and response.status not in self._retrying.statuses:
            return response
        ending = read_ending(response.status, response.headers, wall_s=time.time())
        return self._retrying.again(request, ending, response_status_message(response.status)) or response

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        if not self._is_listed(exception):
            return None
        return self._retrying.again(request, Ending(failed=Cause.NETWORK), exception)

    def _is_listed(self, exception: Exception) -> bool:
        """Whether RETRY_EXCEPTIONS names it. What nobody has imported cannot have been raised, and is not loaded."""
        for at, kind in enumerate(self._exceptions):
            if isinstance(kind, str) and kind.rpartition(".")[0] in sys.modules:
                self._exceptions[at] = load_object(kind)
        return isinstance(exception, tuple(kind for kind in self._exceptions if not isinstance(kind, str)))
