"""What Scrapy's own handler makes of a behaviour where that is not what the table says: every difference, declared.

It is the fallback where libcurl cannot be had. `ok` here is a response that it believes and should not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.items import Outcome

if TYPE_CHECKING:
    from tests.hostile.behaviour import Behaviour

_DIFFERENCES: Final[dict[Outcome, tuple[str, ...]]] = {
    Outcome.OK: (
        "length-and-chunked", "chunked-and-length", "length-and-chunked-differ", "length-and-chunked-empty",
        "transfer-chunked-two-lines", "transfer-vertical-tab", "http-1.0-chunked", "close-delimited-reset",
        "protocol-lower-case", "protocol-9.9", "protocol-1.10", "protocol-rtsp", "line-nul",
        "header-nul-in-value", "header-no-colon", "header-carriage-return", "header-10000", "header-1m",
        "close-ignored-1.0", "close-among-others", "redirect-two-locations", "tls-cut-body",
    ),
    Outcome.BAD_RESPONSE: (
        "header-no-name", "header-space-in-name", "header-space-before-colon", "header-folded-first",
    ),
    Outcome.TRUNCATED: ("chunk-extension-5k", "chunk-size-0x", "trailers-endless", "chunk-extension-endless"),
    Outcome.RESET: (
        "http-0.9", "reason-200k", "header-20k", "header-200k", "header-endless-line", "header-endless-name",
        "header-endless-reason", "kept-dies-put", "redirect-70k", "tls-at-most-1.0", "tls-asks-for-a-certificate",
        "tls-closes", "tls-resets", "tls-handshake-cut", "plain-is-alert",
    ),
    Outcome.TOO_LARGE: ("stall-after-huge-length",),
}  # fmt: skip

STOCK: Final = {name: outcome for outcome, names in _DIFFERENCES.items() for name in names}

ENDLESS: Final = frozenset(
    {"header-endless", "header-endless-folded", "interim-flood", "interim-flood-103", "endless-small-chunks"}
)
"""It has no limit for these: they take its whole time, and memory, until the timeout, and all other calls wait."""

RACES: Final = frozenset({"kept-reset"})
"""It finds out that a kept connection is gone before it sends, or while, or not at all."""


def can_try(behaviour: Behaviour) -> bool:
    """Whether the outcome with Scrapy's handler says something. It speaks no HTTP/2."""
    return not behaviour.h2 and behaviour.name not in ENDLESS | RACES
