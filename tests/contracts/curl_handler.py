"""libcurl's handler in the words of Scrapy's own handler tests: which class, and each declared difference.

`tests.contracts.scrapy_suite` copies this file into Scrapy's tests, where pytest finds it; it is no module
of ours: `tests.utils` is Scrapy's.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from crawler.wire.curl.handler import CurlDownloadHandler
from tests.utils.bases import download_handlers_http as bases

pytestmark = pytest.mark.only_asyncio

PATH = "crawler.wire.curl.handler.CurlDownloadHandler"
H1 = {"APIFETCH_HTTP": "1.1"}  # Scrapy tests one version of HTTP per class; ours takes what TLS agrees on


class Curl:
    @property
    def download_handler_cls(self) -> type[CurlDownloadHandler]:
        return CurlDownloadHandler

    @property
    def settings_dict(self) -> dict[str, Any] | None:
        return {"DOWNLOAD_HANDLERS": {"http": PATH, "https": PATH}, **H1}


class Declared(Curl):
    # The test puts its answers into Python's getaddrinfo; libcurl asks the system itself. It takes such names.
    handler_supports_idna_rejected_hostnames = False
    # RFC 9112, section 5: a line without a colon is no field. libcurl refuses the response, and so do we.
    handler_bad_header_handling = "fail"


class TestHttp(Declared, bases.TestHttpBase):
    pass


class TestHttps(Declared, bases.TestHttpsBase):
    default_handler_settings: ClassVar[dict[str, Any]] = H1
    tls_log_message = "SSL connection using TLSv1.3"  # libcurl's words

    @pytest.mark.skip(reason="the check is Twisted's")
    def test_verify_certs_deprecated(self) -> None:  # type: ignore[override]
        pass

    @pytest.mark.skip(reason="libcurl in pycurl's wheel is built without a key log: no keys are written at all")
    def test_keylog(self) -> None:  # type: ignore[override]
        pass


class TestHttp2(TestHttps):
    http2 = True
    default_handler_settings: ClassVar[dict[str, Any]] = {"APIFETCH_HTTP": "auto"}
    # libcurl calls a stream that ends early an error of the stream, without saying that a body was cut.
    handler_supports_http2_dataloss = False

    @pytest.mark.skip(reason="HTTP/2 it is, which this test of HTTP/1.1 does not expect")
    def test_protocol(self) -> None:  # type: ignore[override]
        pass


class TestSimpleHttps(Curl, bases.TestSimpleHttpsBase):
    pass


class TestHttpsWrongHostname(Curl, bases.TestHttpsWrongHostnameBase):
    pass


class TestHttpsInvalidDNSId(Curl, bases.TestHttpsInvalidDNSIdBase):
    pass


class TestHttpsInvalidDNSPattern(Curl, bases.TestHttpsInvalidDNSPatternBase):
    pass


class TestHttpsCustomCiphers(Curl, bases.TestHttpsCustomCiphersBase):
    pass


class TestHttpsDefaultCiphers(Curl, bases.TestHttpsDefaultCiphersBase):
    pass


class TestHttpsTLSVersion(Curl, bases.TestHttpsTLSVersionBase):
    pass


class TestHttpWithCrawler(Curl, bases.TestHttpWithCrawlerBase):
    pass


class TestHttpsWithCrawler(TestHttpWithCrawler):
    is_secure = True


class TestHttpProxy(Curl, bases.TestHttpProxyBase):
    expected_http_proxy_request_body = b"http://example.com/"  # an empty path is sent as `/` (RFC 9110, 4.2.3)


class TestHttpsProxy(TestHttpProxy):
    is_secure = True


@pytest.mark.requires_mitmproxy
class TestMitmProxy(Curl, bases.TestMitmProxyBase):
    handler_supports_socks = True
