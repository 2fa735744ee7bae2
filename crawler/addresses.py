"""The address guard: how far in an address lies, and which ones a call may be connected to.

Owns: what is public, private, loopback, or never anybody's API, whatever the spelling; and the rule of
APIFETCH_ADDRESSES. Addresses come in from whoever is about to connect: nothing is looked up here.
Sources: IANA's special-purpose address registries (RFC 6890), RFC 4291, 4380, 5214, 6052, 8215, and the
documentation of the clouds whose metadata services are named.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = IPv4Address | IPv6Address
Rule = Literal["list", "public", "any"]


class Scope(IntEnum):
    """How far in an address lies. A larger one is further in."""

    PUBLIC = 0
    PRIVATE = 1  # this site: private networks, and whatever else is not of the Internet
    LOOPBACK = 2  # this computer
    METADATA = 3  # link-local, and the metadata services of clouds, which hand out credentials

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS: Final = {
    Scope.PUBLIC: "a public address",
    Scope.PRIVATE: "a private address",
    Scope.LOOPBACK: "a loopback address",
    Scope.METADATA: "a link-local or metadata address",
}

_V4: Final = tuple(
    (scope, IPv4Network(network))
    for scope, networks in {
        # AWS and most others are link-local; then Azure's wire server, Oracle's older one, Alibaba's
        Scope.METADATA: "169.254.0.0/16 168.63.129.16/32 192.0.0.192/32 100.100.100.200/32",
        Scope.LOOPBACK: "127.0.0.0/8 0.0.0.0/8",  # Linux connects 0.0.0.0 to itself
        Scope.PRIVATE: """
            10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 198.18.0.0/15
            198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4""",
    }.items()
    for network in networks.split()
)

_V6: Final = tuple(
    (scope, IPv6Network(network))
    for scope, networks in {
        # link-local, then AWS's for instances and pods, then Google's, then Scaleway's
        Scope.METADATA: "fe80::/10 fd00:ec2::/32 fd20:ce::254/128 fd00:42::42/128",
        Scope.LOOPBACK: "::1/128 ::/128",
        Scope.PRIVATE: "fc00::/7 fec0::/10 ff00::/8 100::/64 64:ff9b:1::/48 2001:db8::/32 3fff::/20 5f00::/16",
    }.items()
    for network in networks.split()
)

_IN_THE_LAST_32_BITS: Final = tuple(
    IPv6Network(network)
    for network in (
        "::ffff:0:0/96",  # IPv4-mapped
        "::/96",  # IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 of a site
    )
)
_6TO4: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_TRANSLATED: Final = (*_IN_THE_LAST_32_BITS, _6TO4, _TEREDO)
"""Where the IPv4 address inside says all."""

_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})


@lru_cache(maxsize=4096)  # a run meets a few; a hostile list fills no memory
def scope_of(address: Address) -> Scope:
    """The scope of an address; of the innermost one, where an IPv6 address holds an IPv4 one."""
    if isinstance(address, IPv4Address):
        found = next((scope for scope, network in _V4 if address in network), None)
        return _of_the_rest(address) if found is None else found
    found = next((scope for scope, network in _V6 if address in network), None)
    if found is None:
        found = Scope.PUBLIC if any(address in network for network in _TRANSLATED) else _of_the_rest(address)
    return max([found, *map(scope_of, _held_in(address))])


def _of_the_rest(address: Address) -> Scope:
    """What no table names: Python's registry may know more, or be older."""
    return Scope.PUBLIC if address.is_global else Scope.PRIVATE


def _held_in(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a translator or tunnel would take out of it."""
    bits = int(address)
    if bits >> 1 == 0:
        return  # `::` and `::1`
    if any(address in network for network in _IN_THE_LAST_32_BITS):
        yield IPv4Address(bits & 0xFFFF_FFFF)
    elif address in _6TO4:
        yield IPv4Address(bits >> 80 & 0xFFFF_FFFF)
    elif address in _TEREDO:
        yield IPv4Address(bits >> 64 & 0xFFFF_FFFF)  # the server
        yield IPv4Address(~bits & 0xFFFF_FFFF)  # the client, inverted
    elif bits >> 32 & 0xFFFF_FFFF in _ISATAP:
        yield IPv4Address(bits & 0xFFFF_FFFF)


# Names

_NUMBER: Final = re.compile(r"0[xX](?P<hex>[0-9A-Fa-f]*)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_BASES: Final = {"hex": 16, "octal": 8, "decimal": 10}
_LOCAL_NAMES: Final = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_METADATA_NAMES: Final = ("metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal")


def scope_of_name(host: str) -> Scope:
    """What a name says of itself: an address however it is spelt, or one of the few names that everybody knows.

    Any other one is taken for public. For calls through a proxy, which does the look-up: see docs/security.md.
    """
    host = host.strip("[]").rstrip(".").lower()
    if (address := read_address(host)) is not None:
        return scope_of(address)
    if host in _METADATA_NAMES:
        return Scope.METADATA
    return Scope.LOOPBACK if host in _LOCAL_NAMES or host.endswith(".localhost") else Scope.PUBLIC


def read_address(host: str) -> Address | None:
    """The address that a host is, None for a name: also `127.1`, `2130706433`, `0x7f.1` and `017700000001`.

    As inet_aton(3) and the URL standard (https://url.spec.whatwg.org/#concept-ipv4-parser) read them.
    """
    try:
        return ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4:
        return None
    numbers = []
    for part in parts:
        match = _NUMBER.fullmatch(part)
        if match is None or match.lastgroup is None:
            return None
        numbers.append(int(match[match.lastgroup] or "0", _BASES[match.lastgroup]))
    *first, last = numbers
    if any(number > 0xFF for number in first) or last >= 256 ** (5 - len(numbers)):
        return None
    return IPv4Address(sum(number << 24 - 8 * at for at, number in enumerate(first)) + last)


# The rule

NAMES_AT_MOST: Final = 10_000
"""Names that are remembered; of more, the oldest are forgotten, and then met for the first time again."""


class Guard:
    """Judges what the calls of a run may be connected to.

    rule: `any`: everything; `public`: public addresses; `list`: what a line's own host resolves to, but
    METADATA, and nothing that lies further in than where it was first, or than the redirect that leads there.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._known: dict[str, Scope] = {}

    def attempt(self, host: str, reach: int | None) -> Attempt:
        """Begin a call. host: lower case. reach: how far in it may go, a Scope; None for a line's own host."""
        return Attempt(self, host, self._known.get(host), None if reach is None else Scope(reach))

    def refusal_of_name(self, host: str, reach: int | None) -> str | None:
        """Why a host may not be called, by its name and where it was met so far; None: it may.

        For whoever does not see the address of each call.
        """
        attempt = Attempt(self, host, None, None if reach is None else Scope(reach))
        return attempt.refusal_of(host, self.reach(host, None))

    def reach(self, host: str, address: Address | None) -> Scope:
        """How far in a redirect from *host* may lead. address: what answered, None where that is not known."""
        if address is not None:
            return scope_of(address)
        return max(scope_of_name(host), self._known.get(host, Scope.PUBLIC))

    def learn(self, host: str, scope: Scope) -> None:
        """Remember in which scope a host was met."""
        if len(self._known) >= NAMES_AT_MOST and host not in self._known:
            del self._known[next(iter(self._known))]
        self._known[host] = max(scope, self._known.get(host, Scope.PUBLIC))


class Attempt:
    """One call's attempt to be connected, over all the addresses of one answer of the name server.

    before: the scope in which the host was known when it began: an answer may hold addresses of more than one,
    but a later one may not turn inwards. passed: whether any address was let through. refused: why the last
    one was not.
    """

    __slots__ = ("_before", "_guard", "_host", "_reach", "passed", "refused")

    def __init__(self, guard: Guard, host: str, before: Scope | None, reach: Scope | None) -> None:
        self._guard = guard
        self._host = host
        self._before = before
        self._reach = reach
        self.passed = False
        self.refused: str | None = None

    def allows(self, address: str) -> bool:
        """Whether it may be connected to this address (text, as inet_ntop writes it)."""
        scope = scope_of(ip_address(address.partition("%")[0]))
        self.refused = self.refusal_of(address, scope)
        if self.refused is None:
            self.passed = True
            self._guard.learn(self._host, scope)
        return self.refused is None

    def refusal_of(self, address: str, scope: Scope) -> str | None:
        """Why not; None: it may."""
        rule = self._guard.rule
        if rule == "any" or scope is Scope.PUBLIC:
            return None
        if scope is Scope.METADATA:
            return f"{address} is {scope}"
        if rule == "public":
            return f"{address} is {scope}, and APIFETCH_ADDRESSES=public"
        if self._reach is not None and scope > self._reach:
            return f"{address} is {scope}, and {self._reach} led there"
        if self._before is not None and scope > self._before:
            return f"{address} is {scope}, and {self._host} had {self._before} before"
        return None
