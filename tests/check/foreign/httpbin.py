"""httpbin under gunicorn: HTTP's semantics by people who wrote a client. In an environment of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.check.foreign.process import BUILT, ForeignServer, free_port, skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREADS: Final = 64  # more than workers: what waits or drips holds one each


OK: Final = ("ok", 200)

SAME: Final = (
    "/encoding/utf8", "/html", "/xml", "/json", "/robots.txt", "/deny", "/image/png", "/image/webp", "/base64/aGVsbG8=",
    "/bytes/0", "/range/300?chunk_size=7", "/links/5/0", "/drip?duration=1&numbytes=20&delay=0",
    "/drip?duration=0&numbytes=5&delay=1", "/response-headers?X-Twice=1&X-Twice=2",
)  # fmt: skip
"""Paths that give everybody the same bytes: they must be those that Python's own client gets."""

OTHERS: Final[dict[str, tuple[str, int | None]]] = {
    "/status/201": ("ok", 201),
    "/status/204": ("ok", 204),
    "/status/206": ("bad_response", 206),
    "/status/304": ("http_error", 304),
    "/status/301": OK,  # to /redirect/1, to /get
    "/status/400": ("http_error", 400),
    "/status/418": ("http_error", 418),
    "/status/429": ("http_error", 429),
    "/status/503": ("http_error", 503),
    "/get?a=1&a=%20": OK,
    "/stream/7": OK,
    "/bytes/3000": OK,
    "/stream-bytes/50000?chunk_size=700": OK,
    "/etag/one": OK,
    "/gzip": OK,
    "/deflate": OK,
    "/brotli": OK,  # though gzip alone was asked for
    "/redirect/5": OK,
    "/redirect/6": ("bad_redirect", 302),
    "/absolute-redirect/2": OK,
    "/relative-redirect/2": OK,
    "/redirect-to?url=/bytes/3?seed=1&status_code=307": OK,
    "/redirect-to?url=http://127.0.0.1:1/": ("connect", None),
    "/cookies/set?a=1": OK,
    "/delay/1": OK,
    "/delay/9": ("timeout", None),
    "/drip?duration=9&numbytes=9&delay=0": ("timeout", None),
    "/basic-auth/user/wrong": ("http_error", 401),
    "/bearer": ("http_error", 401),
    "/post": ("http_error", 405),
}

SENT: Final[list[dict[str, Any]]] = [
    {"method": "POST", "body": {"a": 1.0, "é": None}},
    {"method": "POST", "body": "a=1&b=%20", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    {"method": "PUT", "body_base64": "AAECA/8="},
    {"method": "PATCH", "body": ""},
    {"method": "DELETE", "headers": {"X-One": "1", "Accept-Language": "fr"}},
    {"method": "GET", "headers": {"Authorization": "Bearer of-a-test"}},
]


@contextmanager
def httpbin(folder: Path) -> Iterator[str]:
    """Its origin."""
    gunicorn = BUILT / "httpbin" / "bin" / "gunicorn"
    if not gunicorn.exists():
        skip("there is no httpbin")
    port = free_port()
    command = [str(gunicorn), "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", str(THREADS), "httpbin:app"]
    with ForeignServer(command, port=port, folder=folder):
        yield f"http://127.0.0.1:{port}"
