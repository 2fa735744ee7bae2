"""A text of the list to what goes out on the wire.

Owns: which URLs can be fetched, what of them is encoded, and where the credentials in them go.
A URL goes out as written: only what is illegal in a request target (RFC 3986) is percent-encoded, an
international host name becomes its A-label (UTS 46), the fragment and `user:password@` stay here.
`${NAME}` passes through path and query as it is. Never quotes credentials in an error. Knows no files.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna

from crawler.exceptions import BadURLError
from crawler.secrets import PLACEHOLDER

URL_CAP: Final = 64 * 1024
"""Bytes; servers refuse request lines of 8 to 32 KiB, so a longer URL is damage in the list."""

_LABELS: Final = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*+\.?"
_LEGAL: Final = r"[A-Za-z0-9\-._~:/?\[\]@!&'()*+,;=]*+"  # all but % and $, which may begin something

# What needs no work at all, in one step: 1 us where the careful way below takes 6.
_PLAIN: Final = re.compile(
    rf"https?://({_LABELS})(?::([1-9][0-9]{{0,4}}))?"
    rf"(?:[/?]{_LEGAL}(?:(?:%[0-9A-Fa-f]{{2}}|{PLACEHOLDER}|\$(?!\{{)){_LEGAL})*+)?"
)
_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://([^/?#]*)([^#]*)", re.DOTALL)
_HOST_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:\[\]]*))?")
_HOST: Final = re.compile(_LABELS)
_PORT: Final = re.compile(r"0*[0-9]{1,5}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ILLEGAL: Final = re.compile(rf'({PLACEHOLDER})|%(?![0-9A-Fa-f]{{2}})|[ "<>\\^`{{|}}]|[^\x00-\x7f]+')
_ILLEGAL_IN_USERINFO: Final = re.compile(r'[ "<>\\^`{|}\[\]]')
_HOST_CHARS: Final = 253  # RFC 1035, section 2.3.4, without the final dot
_OWN_PORTS: Final = {"http": 80, "https": 443}
_LOOKS_LIKE_A_HOST: Final = re.compile(rf"((?:localhost|[A-Za-z0-9_-]+\.{_LABELS})(?::[0-9]+)?)(?:[/?].*)?")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL of the list means on the wire.

    target: the URL without credentials and fragment; ASCII without spaces and control characters.
    authorization: `Basic ...` (RFC 7617, UTF-8) for `user:password@`; None when there is none.
    host: lower-case, A-labels, IPv6 without brackets. port: None when the URL gives none.
    """

    target: str
    authorization: str | None
    host: str
    port: int | None

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.target.partition(":")[0].lower()

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host, port (RFC 6454)."""
        return self.scheme, self.host, self.port or _OWN_PORTS[self.scheme]


def check_url(text: str) -> Target:
    """Raises BadURLError, saying what is wrong, when *text* is no http or https URL that can be fetched."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len(text) <= URL_CAP:
        host, port = plain.groups()
        if len(host) <= _HOST_CHARS and (port is None or int(port) <= 0xFFFF):
            return Target(text, None, host.lower(), None if port is None else int(port))
    return _check_carefully(text)


def _check_carefully(text: str) -> Target:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as exc:
        raise BadURLError("holds half a surrogate pair, which is no character") from exc
    if size_bytes > URL_CAP:
        raise BadURLError(f"URL longer than {URL_CAP // 1024} KiB")
    if control := _CONTROL.search(text):
        raise BadURLError(f"URL holds the control character 0x{ord(control[0]):02x}")
    parts = _PARTS.match(text)
    if parts is None:
        raise BadURLError(_no_scheme(text))
    scheme, authority, rest = parts.groups()
    if scheme.lower() not in {"http", "https"}:
        raise BadURLError(f"scheme {scheme!r} is not supported, only http and https")
    userinfo, _, host_port = authority.rpartition("@")
    written, host, port = _check_host_port(host_port)
    target = f"{scheme}://{written}{_ILLEGAL.sub(_encode, rest)}"
    return Target(target, _basic(userinfo) if userinfo else None, host, port)


def _encode(illegal: re.Match[str]) -> str:
    return illegal[1] or quote(illegal[0], safe="")


def _basic(userinfo: str) -> str:
    if _ILLEGAL_IN_USERINFO.search(userinfo):
        raise BadURLError(
            "user:password@ holds a character that must be percent-encoded"
            " (a ${NAME} cannot stand there: give an Authorization header)"
        )
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return f"Basic {b64encode(credentials).decode()}"


def _check_host_port(host_port: str) -> tuple[str, str, int | None]:
    """Host and port as they go out, the host in lower case without brackets, and the port."""
    # Nothing of host_port is quoted below: with a slash in a password it is `user:pass`.
    match = _HOST_PORT.fullmatch(host_port)
    if match is None:
        raise BadURLError("host cannot be read (an IPv6 address stands in brackets: http://[::1]:8080/)")
    host, port = match.groups()
    written, name = _check_host(host)
    if not port:
        return written + host_port[len(host) :], name, None
    if _PORT.fullmatch(port) is None or not 1 <= int(port) <= 0xFFFF:
        raise BadURLError("port is not a number from 1 to 65535")
    return f"{written}:{port}", name, int(port)


def _check_host(host: str) -> tuple[str, str]:
    """The host as it goes out, and as hosts are compared."""
    if not host:
        raise BadURLError("host is empty")
    if host.startswith("["):
        if "%" in host:  # a zone names an interface of this computer (RFC 6874)
            raise BadURLError("an IPv6 address with a zone is not supported")
        try:
            IPv6Address(host[1:-1])
        except AddressValueError as exc:
            raise BadURLError("IPv6 address cannot be read") from exc
        return host, host[1:-1].lower()
    if not host.isascii():
        host = _a_labels(host)
    if len(host.rstrip(".")) > _HOST_CHARS or _HOST.fullmatch(host) is None:
        raise BadURLError(
            "host is no name that can be looked up"
            f" (letters, digits, - and _ in parts of 1 to 63, joined by dots, {_HOST_CHARS} in all)"
        )
    return host, host.lower()


def _a_labels(host: str) -> str:
    """UTS 46 (non-transitional) and IDNA 2008, as browsers look the name up."""
    if len(host) > _HOST_CHARS:  # before idna, whose cost grows faster than the name
        raise BadURLError("international host name is too long")
    try:
        return idna.encode(host, uts46=True, std3_rules=False).decode()
    except UnicodeError as exc:  # idna.IDNAError is one
        raise BadURLError("international host name cannot be encoded (IDNA 2008)") from exc


def _no_scheme(text: str) -> str:
    if not text:
        return "URL is empty"
    if text.lower().startswith(("http:", "https:")):
        return "the scheme is followed by two slashes: http://host/ or https://host/"
    host = _LOOKS_LIKE_A_HOST.fullmatch(text.removeprefix("//"))
    if host and len(host[1]) <= _HOST_CHARS:  # the host alone: the query may hold a key
        return f"no scheme: did you mean https://{host[1]}/... ?"
    return "no scheme: a URL begins with http:// or https://"
