"""Which hosts the calls of a run may go to. Names are compared as they go out: lower case, IDN by UTS 46."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

import idna

from crawler.values.kinds import Kind, texts

_OWN_PORT: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts that are named. places: (host or *.host, port; None: the scheme's own port)."""

    places: frozenset[tuple[str, int | None]]

    def __str__(self) -> str:
        shown = ((f"[{host}]" if ":" in host else host, port) for host, port in self.places)
        return ",".join(sorted(host if port is None else f"{host}:{port}" for host, port in shown))

    def allows(self, host: str, port: int | None, scheme: str) -> bool:
        """Whether a call may go there. host: ASCII. port: None when the URL does not say one.

        Another port is another service: without one, `hosts` means 443 for https and 80 for http.
        """
        own = _OWN_PORT.get(scheme)
        ports = (port,) if port is not None and port != own else (None, own)
        host = host.strip("[]").rstrip(".").lower()
        return any((host, port) in self.places for port in ports) or any(
            (f"*{host[dot.start() :]}", port) in self.places for dot in re.finditer(r"\.", host) for port in ports
        )


def host_of(url: str) -> str:
    """The host of a URL that was checked: lower case, IPv6 without brackets; empty when it has none.

    As `urlsplit(url).hostname`, at a tenth of its cost: a list has few authorities and many URLs.
    """
    start = url.find("://") + 3
    end = url.find("/", start)
    authority = url[start:] if end < 0 else url[start:end]
    return _hostname(authority if "?" not in authority and "#" not in authority else urlsplit(url).netloc)


@lru_cache(maxsize=4096)  # half a megabyte; a list may have a million hosts
def _hostname(authority: str) -> str:
    return urlsplit(f"//{authority}").hostname or ""


_PLACE: Final = re.compile(r"(\*\.)?(\[[0-9A-Fa-f:.]+\]|[^:]+)(?::([0-9]{1,5}))?")
_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def _hosts(value: object) -> Hosts:
    return value if isinstance(value, Hosts) else Hosts(frozenset(map(_place, texts(value))))


def _place(said: str) -> tuple[str, int | None]:
    match = _PLACE.fullmatch(said)
    if match is None:
        raise ValueError(f"{said} is not a host" + "; leave out the scheme" * ("://" in said))
    any_below, host, port = match.groups()
    if port and not 1 <= int(port) <= 65_535:
        raise ValueError(f"{port} is not a port")
    if host.startswith("["):
        host = IPv6Address(host[1:-1]).compressed
    else:
        # raises IDNAError, a ValueError
        host = host.lower().rstrip(".") if host.isascii() else idna.encode(host, uts46=True).decode()
        if not _NAME.fullmatch(host):
            raise ValueError(f"{said} is not a host")
    return f"{any_below or ''}{host}", int(port) if port else None


HOSTS: Final = Kind(_hosts, "hosts such as api.example.com, localhost:8000 or *.example.com, with commas between")
