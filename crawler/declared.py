"""Declared success: `expect` and `ok_if`, asked of every answer that would be ok. Off unless one of them is said.

Translates between responses and crawler.values' Condition. It stands where bodies are decoded and retries are over, so
that spiders and pipelines see as ok only what is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from scrapy.exceptions import NotConfigured

from crawler.exceptions import RejectedError
from crawler.pacing import Cause, Ending
from crawler.retrying import Retrying
from crawler.values import is_json

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from crawler.values import Condition

AGAIN: Ending = Ending(failed=Cause.SERVER)
"""As after a 500: the server has failed at this call."""


class DeclaredMiddleware:
    """Make `rejected` of a 2xx whose body is not what was declared; with APIFETCH_RETRY_REJECTED after retries.

    The body is looked at in the event loop: 60 MB take 0.2 to 0.6 s, and less again for a condition on a few members.
    A thread would hold the interpreter as long.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self._is_json = settings.get("APIFETCH_EXPECT") == "json"
        self._condition: Condition | None = settings.get("APIFETCH_OK_IF")
        self._retrying = Retrying(crawler) if settings.get("APIFETCH_RETRY_REJECTED") else None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.get("APIFETCH_EXPECT") and not crawler.settings.get("APIFETCH_OK_IF"):
            raise NotConfigured
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        if not 200 <= response.status < 300:
            return response
        fault = self._fault(response.body)
        if fault is None:
            return response
        again = self._retrying.again(request, AGAIN, "rejected") if self._retrying is not None else None
        if again is not None:
            return again
        raise RejectedError(fault, response)

    def _fault(self, body: bytes) -> str | None:
        if self._is_json and not is_json(body):
            return "expect=json: the body is none" if body else "expect=json: there is no body"
        return self._condition.fault(body) if self._condition is not None else None
