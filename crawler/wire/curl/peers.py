"""Who answered: the address that a transfer was connected to, and the certificate that was shown there.

Owns what is remembered of both, so that an API's few are made into objects once. Also the warning that what TLS
hides can be read.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from typing import TYPE_CHECKING

import pycurl

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

logger = logging.getLogger("crawler.wire.curl.handler")


class Peers:
    """The servers of one handler."""

    def __init__(self) -> None:
        self._addresses: dict[str, IPv4Address | IPv6Address] = {}
        self._certificates: dict[str, bytes] = {}

    def address(self, handle: pycurl.Curl) -> IPv4Address | IPv6Address | None:
        """Of the server, or of the proxy, that a transfer was connected to."""
        text = handle.getinfo(pycurl.PRIMARY_IP)
        if not text:
            return None
        if text not in self._addresses:
            self._addresses[text] = ipaddress.ip_address(text)
        return self._addresses[text]

    def certificate(self, url: str, handle: pycurl.Curl) -> bytes | None:
        """The server's certificate in DER; libcurl tells it for new connections only."""
        if not url[:6].lower().startswith("https:"):
            return None
        origin = url.split("/", 3)[2]
        if origin not in self._certificates or handle.getinfo(pycurl.NUM_CONNECTS):
            chain = handle.getinfo_raw(pycurl.INFO_CERTINFO)
            pem = next((value for name, value in chain[0] if name == b"Cert"), None) if chain else None
            if pem is not None:
                self._certificates[origin] = _der(pem)
        return self._certificates.get(origin)


def _der(pem: bytes) -> bytes:
    import ssl  # noqa: PLC0415  # for https alone

    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))


def warn_about_key_log() -> None:
    """SSLKEYLOGFILE, which OpenSSL obeys whoever uses it."""
    path = os.environ.get("SSLKEYLOGFILE")
    if path:
        try:
            with open(path, "ab"):  # noqa: PTH123  # only to see whether libcurl can
                logger.warning("SSLKEYLOGFILE is set: who reads %s can read all calls over TLS", path)
        except OSError as exc:
            logger.warning("Cannot write TLS session keys to %s: %s", path, exc.strerror)
