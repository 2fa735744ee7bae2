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
ABORTED: Final = 42  # by ourselves, rather than be sent again (options.py)


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
_BAD_RESPONSE: Final = (1, 8, 16, 43, 61, 92, 95, 100)  # no HTTP version we know, HTTP/2 framing, too large headers...

FAILURES: Final[dict[int, type[Exception]]] = {
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

SHUT_DOWN: Final = "nghttp2 shuts down connection"
"""What libcurl says of broken HTTP/2, after which it may wait for the timeout all the same."""

_BY_MESSAGE: Final = (
    (16, "", ResetError),  # closed, in HTTP/2; where something else is wrong, it says what
    (TIMED_OUT, SHUT_DOWN, BadResponseError),
    (56, "Too large response headers", BadResponseError),
    (56, "nghttp2 recv error", BadResponseError),  # a flood of frames
    (92, "reset by server", ResetError),
)
"""Codes that mean more than one thing: the code, what its message holds (empty: that there is none), the exception."""


def failure(code: int, message: str, url: str, timeout_s: float) -> Exception:
    """The exception for a result code. url: as the middlewares know it."""
    if code == ABORTED:
        message = "the connection ended without an answer; what may have been carried out is not sent again"
    kind = FAILURES.get(code, ResetError)
    for known, words, other in _BY_MESSAGE:
        if code == known and (words in message if words else not message):
            kind = other
    if kind is DownloadTimeoutError:
        return kind(f"Getting {url} took longer than {timeout_s:g} seconds: {message}")
    return kind(f"{message} (libcurl {code})")


def stalled(message: str, url: str, stall_s: float) -> Exception:
    """The exception for a transfer that has brought nothing for so long. message: libcurl's last one, often empty."""
    if SHUT_DOWN in message:
        return BadResponseError(message)
    return DownloadTimeoutError(f"Getting {url} stalled for {stall_s:g} seconds")
