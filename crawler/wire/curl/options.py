"""What every handle is told: timeouts, TLS, protocols, bind address; and what one request adds to that.

Owns the translation of Scrapy's settings and of a Request into libcurl's options. A handle is reused for
plain requests without being reset; what a special request sets is undone by setting it up anew.
Source: https://curl.se/libcurl/c/curl_easy_setopt.html.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import pycurl

from crawler import trust
from crawler.exceptions import ArgumentError
from crawler.items import IDEMPOTENT, REACH, STRANGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

HTTP_VERSIONS: Final = {
    "auto": pycurl.CURL_HTTP_VERSION_2TLS,  # HTTP/2 where TLS agrees on it, else HTTP/1.1
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
}
TLS_MIN: Final = {
    "TLSv1.0": pycurl.SSLVERSION_TLSv1_0, "TLSv1.1": pycurl.SSLVERSION_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_TLSv1_2, "TLSv1.3": pycurl.SSLVERSION_TLSv1_3,
}  # fmt: skip
TLS_MAX: Final = {
    "TLSv1.0": pycurl.SSLVERSION_MAX_TLSv1_0, "TLSv1.1": pycurl.SSLVERSION_MAX_TLSv1_1,
    "TLSv1.2": pycurl.SSLVERSION_MAX_TLSv1_2, "TLSv1.3": pycurl.SSLVERSION_MAX_TLSv1_3,
}  # fmt: skip

_DISALLOW_USERNAME_IN_URL: Final = 278  # CURLOPT_*, of libcurl 7.61 and 7.87; this pycurl has no names for them
_QUICK_EXIT: Final = 322
_BUFFER_BYTES: Final = 128 * 1024  # a 20 kB body in one callback; default 16 kB
_OUR_DEFAULTS: Final = (b"Accept", b"Content-Type", b"Expect", b"User-Agent")  # headers libcurl would add of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of all requests. connect_s: seconds for name, TCP and TLS. bind: libcurl's INTERFACE, or None."""

    http: int
    connect_s: float
    remembers_names: bool
    verify: bool
    ca_file: str
    ca_said_by: str
    tls_versions: int
    ciphers: str | None
    client_cert: str | None
    client_key: str | None
    bind: tuple[str, int] | None
    log_tls: bool
    proxy_auth_encoding: str

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises ArgumentError for a wrong value of ours, ValueError for one of Scrapy's TLS settings."""
        version = settings.get("APIFETCH_HTTP", "auto")
        if version not in HTTP_VERSIONS:
            raise ArgumentError("APIFETCH_HTTP", version, "auto, 1.1 or 2")
        ca_file, said_by = trust.ca_file(settings.get("APIFETCH_CA_FILE"), os.environ)
        ciphers = settings.get("DOWNLOADER_CLIENT_TLS_CIPHERS")
        bind = settings.get("DOWNLOAD_BIND_ADDRESS")
        return cls(
            http=HTTP_VERSIONS[version],
            connect_s=settings.getfloat("APIFETCH_CONNECT_S", 10.0),
            remembers_names=settings.getbool("DNSCACHE_ENABLED", True),
            verify=settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"),
            ca_file=ca_file,
            ca_said_by=said_by,
            tls_versions=_tls_version(settings, "DOWNLOAD_TLS_MIN_VERSION", TLS_MIN)
            | _tls_version(settings, "DOWNLOAD_TLS_MAX_VERSION", TLS_MAX),
            ciphers=None if ciphers in {None, "DEFAULT"} else ciphers,
            client_cert=settings.get("APIFETCH_CLIENT_CERT"),
            client_key=settings.get("APIFETCH_CLIENT_KEY"),
            bind=(bind, 0) if isinstance(bind, str) else bind,
            log_tls=settings.getbool("DOWNLOADER_CLIENT_TLS_VERBOSE_LOGGING"),
            proxy_auth_encoding=settings.get("HTTPPROXY_AUTH_ENCODING"),
        )

    def set_up(self, handle: pycurl.Curl, *, stranger: bool = False) -> None:
        """Tell a new or reset handle what holds for every request. stranger: who gets nothing of the user's."""
        put = handle.setopt
        put(pycurl.NOSIGNAL, 1)
        put(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        put(_DISALLOW_USERNAME_IN_URL, 1)
        put(_QUICK_EXIT, 1)  # closing must not wait for a name that is being resolved
        put(pycurl.HTTP_VERSION, self.http)
        put(pycurl.PATH_AS_IS, 1)  # `..` goes out as written
        put(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        put(pycurl.CONNECTTIMEOUT_MS, round(self.connect_s * 1000))
        if not self.remembers_names:  # else for a minute
            put(pycurl.DNS_CACHE_TIMEOUT, 0)
        put(pycurl.PROXY, "")  # proxies come from Scrapy; unset, libcurl would read the environment
        put(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)  # what is for the server is not for the proxy
        put(pycurl.SSL_VERIFYPEER, int(self.verify))
        put(pycurl.SSL_VERIFYHOST, 2 if self.verify else 0)
        put(pycurl.CAINFO, self.ca_file)
        put(pycurl.SSLVERSION, self.tls_versions)
        put(pycurl.OPT_CERTINFO, 1)
        if self.ciphers is not None:
            put(pycurl.SSL_CIPHER_LIST, self.ciphers)
        if self.client_cert is not None and not stranger:
            put(pycurl.SSLCERT, self.client_cert)
        if self.client_key is not None and not stranger:
            put(pycurl.SSLKEY, self.client_key)
        if self.bind is not None:
            _bind(handle, self.bind)
        if self.log_tls:
            put(pycurl.VERBOSE, 1)
            put(pycurl.DEBUGFUNCTION, _log_tls)


_LOWER_CASE_HEX: Final = re.compile(r"%(?:[a-f]|[0-9A-F][a-f])")


def is_special(request: Request) -> bool:
    """Whether a request sets more than URL, headers and timeout, so that its handle must be set up anew."""
    meta = request.meta
    return (
        request.method != "GET"
        or bool(request.body or meta.get("proxy") or meta.get("bindaddress") or REACH in meta or STRANGER in meta)
        or _LOWER_CASE_HEX.search(request.url) is not None
    )


def add_special(handle: pycurl.Curl, request: Request, options: Options) -> None:
    """Tell a handle what only this request has: method, body, proxy, bind address."""
    put, body, method = handle.setopt, request.body, request.method
    if method == "HEAD" and not body:
        put(pycurl.NOBODY, 1)
    elif body or method not in {"GET", "HEAD"}:
        if body or method in {"POST", "PUT", "PATCH"}:
            put(pycurl.POSTFIELDS, body)  # an empty one sends Content-Length: 0, which servers want to see
        put(pycurl.CUSTOMREQUEST, method)
    if method not in IDEMPOTENT:
        put(pycurl.PREREQFUNCTION, once())
    if _LOWER_CASE_HEX.search(request.url) and not request.meta.get("proxy"):
        # libcurl writes %2f as %2F, which is another URL to whoever signed the first one.
        target = urlsplit(request.url)
        put(pycurl.REQUEST_TARGET, f"{target.path or '/'}{'?' * ('?' in request.url)}{target.query}")
    if (bind := request.meta.get("bindaddress")) is not None:
        _bind(handle, (bind, 0) if isinstance(bind, str) else bind)
    if proxy := request.meta.get("proxy"):
        put(pycurl.PROXY, proxy if "://" in proxy else f"http://{proxy}")
        put(pycurl.NOPROXY, "")
        put(pycurl.PROXY_SSL_VERIFYPEER, int(options.verify))
        put(pycurl.PROXY_SSL_VERIFYHOST, 2 if options.verify else 0)
        put(pycurl.PROXY_CAINFO, options.ca_file)
        _authenticate(handle, request, options.proxy_auth_encoding)


def once() -> Callable[..., int]:
    """Let a request go out a first time only: when a kept connection dies, libcurl would send it again on another."""
    answers = iter([pycurl.PREREQFUNC_OK])
    return lambda *_addresses: next(answers, pycurl.PREREQFUNC_ABORT)


def header_lines(request: Request) -> list[bytes]:
    """The request's headers as libcurl takes them: `Name: value`, `Name;` for an empty one, `Name:` for none."""
    lines = []
    given = dict.items(request.headers)  # as they stand there; its own way normalises each name once more
    for name, values in given:
        if name != b"Proxy-Authorization":
            for value in values:
                lines.append(name + b": " + value if value else name + b";")  # noqa: PERF401  # most have one
    lines += [name + b":" for name in _OUR_DEFAULTS if not dict.__contains__(request.headers, name)]
    return lines


def _bind(handle: pycurl.Curl, address: tuple[str, int]) -> None:
    host, port = address
    handle.setopt(pycurl.INTERFACE, f"host!{host}")
    handle.setopt(pycurl.LOCALPORT, port)


def _authenticate(handle: pycurl.Curl, request: Request, encoding: str) -> None:
    """HttpProxyMiddleware keeps a proxy's credentials in a header; SOCKS needs them as they were."""
    header = request.headers.get(b"Proxy-Authorization")
    if header is None:
        return
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"basic":
        handle.setopt(pycurl.PROXYHEADER, [b"Proxy-Authorization: " + header])
        return
    user, _, password = base64.b64decode(token).decode(encoding).partition(":")
    handle.setopt(pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC)
    handle.setopt(pycurl.PROXYUSERNAME, user)
    handle.setopt(pycurl.PROXYPASSWORD, password)


def _tls_version(settings: BaseSettings, name: str, numbers: dict[str, int]) -> int:
    value = settings.get(name)
    if value is None:
        return 0
    if value not in numbers:
        raise ValueError(f"Unknown {name} value: {value}")
    return numbers[value]


def _log_tls(kind: int, text: bytes) -> None:
    if kind == pycurl.INFOTYPE_TEXT and text.startswith((b"SSL", b"Server cert", b" subject", b" issuer")):
        logger.debug("%s", text.decode("latin-1").strip())
