"""The outcomes: one vocabulary for ledger, summary, stats and exit code."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of a line. One vocabulary for ledger, summary, stats and exit code."""

    OK = "ok"
    HTTP_ERROR = "http_error"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    RESET = "reset"
    TRUNCATED = "truncated"
    DECODE = "decode"
    TOO_LARGE = "too_large"
    BAD_RESPONSE = "bad_response"
    BAD_REDIRECT = "bad_redirect"
    FORBIDDEN_ADDRESS = "forbidden_address"
    FORBIDDEN_HOST = "forbidden_host"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    ERASED = "erased"


NO_USABLE_ANSWER: Final = frozenset(
    {
        Outcome.TIMEOUT,
        Outcome.DNS,
        Outcome.CONNECT,
        Outcome.TLS,
        Outcome.RESET,
        Outcome.TRUNCATED,
        Outcome.DECODE,
        Outcome.BAD_RESPONSE,
        Outcome.UNKNOWN,
    }
)
"""Failures in which the API said nothing that can be relied on (exit code 4; the rest is 8)."""

NOT_A_CALL: Final = frozenset({Outcome.INVALID, Outcome.DUPLICATE})
"""Lines that never became a call: they are derived from the list alone."""

NO_FAILURE: Final = NOT_A_CALL | {Outcome.OK, Outcome.ERASED}
"""All but calls that were made, or refused, and are not ok. What was erased on purpose counts by itself."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated without asking (RFC 9110, section 9.2.2)."""
