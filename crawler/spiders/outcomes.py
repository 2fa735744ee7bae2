"""From what Scrapy hands back to one word of our vocabulary: statuses and exceptions become outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from OpenSSL import SSL
from scrapy import exceptions as scrapy_errors
from twisted.internet.error import ConnectionClosed

from crawler.items import Outcome

if TYPE_CHECKING:
    from scrapy.http import Response

_BY_EXCEPTION: Final[tuple[tuple[type[BaseException], Outcome], ...]] = (
    (scrapy_errors.DownloadTimeoutError, Outcome.TIMEOUT),
    (scrapy_errors.CannotResolveHostError, Outcome.DNS),
    (scrapy_errors.DownloadConnectionRefusedError, Outcome.CONNECT),
    (scrapy_errors.ResponseDataLossError, Outcome.TRUNCATED),
    (scrapy_errors.DownloadCancelledError, Outcome.TOO_LARGE),  # the handlers' word for DOWNLOAD_MAXSIZE
    (scrapy_errors.DownloadFailedError, Outcome.RESET),
    (OSError, Outcome.DECODE),  # HttpCompressionMiddleware on a body that is not what its coding says
)

_MAYBE_CARRIED_OUT: Final = frozenset({Outcome.TIMEOUT, Outcome.RESET, Outcome.TRUNCATED, Outcome.DECODE})
"""After these the server may have done what it was asked for: `unknown` for a method that may not be repeated."""


def outcome_of_response(response: Response, *, ranged: bool) -> tuple[Outcome, str | None]:
    """The outcome of a whole response, and why it is not ok. ranged: the request asked for a part."""
    status = response.status
    if 200 <= status < 300:
        if status == 206 and not ranged:
            return Outcome.BAD_RESPONSE, "206 Partial Content, though no range was asked for"
        return Outcome.OK, None
    if 300 <= status < 600:
        return Outcome.HTTP_ERROR, f"HTTP status {status}"
    return Outcome.BAD_RESPONSE, f"{status} is no final HTTP status"


def outcome_of_exception(exc: BaseException, *, may_repeat: bool) -> tuple[Outcome, str]:
    """The outcome of a call without a usable response, and the reason in words. may_repeat: it may be made again."""
    outcome, reason = _outcome_of_exception(exc)
    if not may_repeat and outcome in _MAYBE_CARRIED_OUT:
        return Outcome.UNKNOWN, f"{outcome}: {reason}; it may have been carried out, redo=failed repeats it"
    return outcome, reason


def _outcome_of_exception(exc: BaseException) -> tuple[Outcome, str]:
    reason = str(exc) or type(exc).__name__
    own = getattr(exc, "outcome", None)  # an exception may carry the outcome that it means
    if isinstance(own, Outcome):
        return own, reason
    causes = _causes(exc)
    if any(map(_is_tls, causes)):
        return Outcome.TLS, reason
    if isinstance(exc, scrapy_errors.IgnoreRequest):
        too_large = "DOWNLOAD_MAXSIZE" in reason  # HttpCompressionMiddleware has no exception of its own for it
        return (Outcome.TOO_LARGE, reason) if too_large else (Outcome.REJECTED, f"a middleware ignored it: {reason}")
    if isinstance(exc, scrapy_errors.DownloadFailedError) and any(map(_is_unreadable, causes)):
        return Outcome.BAD_RESPONSE, reason
    for kind, outcome in _BY_EXCEPTION:
        if isinstance(exc, kind):
            return outcome, reason
    return Outcome.REJECTED, f"{type(exc).__name__}: {reason}"


def _causes(exc: BaseException) -> list[object]:
    """What stands behind an exception: handlers wrap Twisted's errors, which hold lists of Failures."""
    seen: list[object] = [exc]
    for cause in seen:
        for behind in (
            getattr(cause, "__cause__", None),
            getattr(cause, "value", None),
            *(getattr(cause, "reasons", None) or ()),
        ):
            if behind is not None and not any(behind is other for other in seen):
                seen.append(behind)
    return seen[1:]


def _is_tls(cause: object) -> bool:
    # By name: importing it takes 0.1 s.
    return isinstance(cause, SSL.Error) or type(cause).__module__.partition(".")[0] == "service_identity"


def _is_unreadable(cause: object) -> bool:
    """Whether Twisted could not read what came: it stumbled over something else than the connection's end."""
    wraps = hasattr(cause, "reasons")
    return isinstance(cause, Exception) and not wraps and not isinstance(cause, ConnectionClosed)
