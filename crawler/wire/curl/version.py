"""Which libcurl may serve: the oldest one that can do what is asked of it, and the one whose known holes are mended.

Owns both numbers. A distribution may have mended an older version itself, so holes are a warning; what is missing is
an ImportError, after which Scrapy's own handler serves.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Final

import pycurl

logger = logging.getLogger("apifetch")

ABLE: Final = (7, 87, 0)
"""CURLOPT_QUICK_EXIT; the guard of redirects, CURLOPT_PREREQFUNCTION, is of 7.80."""

MENDED: Final = (8, 21, 0)
"""June 2026: 18 holes mended, among them CVE-2026-8932, a connection reused with another client certificate. Earlier
ones that a server can reach through this program: CVE-2023-38545, a heap overflow by a redirect behind a SOCKS5 proxy
(mended in 8.4.0), and CVE-2024-7264, a read beyond a certificate's end (8.9.1). Source: https://curl.se/docs/security.html."""

Version = tuple[int, int, int]


@cache  # http and https have a handler each
def require() -> None:
    """Look at the libcurl that pycurl has. Raises ImportError when it is too old to serve; warns when it has holes."""
    number = pycurl.version_info()[2]
    version = number >> 16, number >> 8 & 0xFF, number & 0xFF
    if not is_able(version):
        raise ImportError(f"libcurl {_shown(version)} is too old: it must be {_shown(ABLE)} or newer")
    if (warning := warning_of(version)) is not None:
        logger.warning("%s", warning)


def is_able(version: Version) -> bool:
    return version >= ABLE


def warning_of(version: Version) -> str | None:
    """What to say about a libcurl with known holes; None for one without."""
    if version >= MENDED:
        return None
    return (
        f"libcurl {_shown(version)} is older than {_shown(MENDED)}, which mended known holes (CVE-2026-8932 and others)"
        ": unless your distribution has mended it, install pycurl's own wheel: pip install --upgrade pycurl"
    )


def _shown(version: Version) -> str:
    return ".".join(map(str, version))
