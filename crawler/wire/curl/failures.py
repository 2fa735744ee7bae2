"""libcurl's result codes as Scrapy's exceptions, each with the outcome that it means.

Source: https://curl.se/libcurl/c/libcurl-errors.html.
"""

from __future__ import annotations

from typing import Final

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)

from crawler.items import Outcome

TIMED_OUT: Final = 28


class TlsError(DownloadFailedError):
    """No connection that can be trusted: handshake, certificate, or name."""

    outcome = Outcome.TLS


class BadResponseError(DownloadFailedError):
    """What came is no HTTP response."""

    outcome = Outcome.BAD_RESPONSE


class ResetError(DownloadFailedError):
    """The connection broke before the response was whole."""

    outcome = Outcome.RESET


class ProxyError(DownloadFailedError):
    """The proxy refused, or cannot be reached."""

    outcome = Outcome.CONNECT


class TooLargeError(DownloadCancelledError):
    """More came, or was announced, than DOWNLOAD_MAXSIZE."""

    outcome = Outcome.TOO_LARGE


_TLS: Final = (35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98)
_BAD_RESPONSE: Final = (8, 16, 43, 61, 92, 95, 100)  # weird reply, HTTP/2 framing and streams, too large headers

FAILURES: Final[dict[int, type[Exception]]] = {
    1: UnsupportedURLSchemeError,
    3: UnsupportedURLSchemeError,  # malformed; cannot happen to a URL that was checked
    4: UnsupportedURLSchemeError,
    5: ProxyError,  # its name cannot be resolved
    6: CannotResolveHostError,
    7: DownloadConnectionRefusedError,
    18: ResponseDataLossError,
    TIMED_OUT: DownloadTimeoutError,
    45: DownloadConnectionRefusedError,  # the bind address is not to be had
    52: ResetError,  # nothing came at all
    55: ResetError,
    56: ResetError,
    97: ProxyError,
    **dict.fromkeys(_TLS, TlsError),
    **dict.fromkeys(_BAD_RESPONSE, BadResponseError),
}


def failure(code: int, message: str, url: str, timeout_s: float) -> Exception:
    """The exception for a result code. url: as the middlewares know it."""
    if code == TIMED_OUT:
        return DownloadTimeoutError(f"Getting {url} took longer than {timeout_s:g} seconds: {message}")
    return FAILURES.get(code, ResetError)(f"{message} (libcurl {code})")
