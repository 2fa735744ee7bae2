"""The address guard at libcurl: asked before a socket is opened, and before a redirect rides on one that is kept.

What is checked is what is connected to: libcurl has looked the name up by then. Owns the two callbacks, which
run inside libcurl and must not raise; what may be connected to is decided in crawler.addresses.
Source: https://curl.se/libcurl/c/CURLOPT_OPENSOCKETFUNCTION.html, CURLOPT_PREREQFUNCTION.html.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

import pycurl

from crawler.exceptions import ForbiddenAddressError
from crawler.items import REACH
from crawler.values import host_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.addresses import Attempt, Guard
    from crawler.wire.curl.transfer import Transfer

COULD_NOT_CONNECT: Final = 7

_KIND_BITS: Final = socket.SOCK_STREAM | socket.SOCK_DGRAM
"""What of a socket's type says its kind; Linux has flags beside it, which Python sets of itself."""


def guard_sockets(handle: pycurl.Curl, guard: Guard, transfer_of: Callable[[], Transfer]) -> None:
    """Have each socket that *handle* opens allowed by *guard*. transfer_of: what the handle is about at that time."""

    def open_socket(_purpose: int, address: Any) -> int:
        transfer = transfer_of()
        if not transfer.request.meta.get("proxy"):  # which is the user's own
            if transfer.attempt is None:
                transfer.attempt = _attempt(guard, transfer)
            if not transfer.attempt.allows(address.addr[0]):
                return pycurl.SOCKET_BAD
        try:
            return socket.socket(address.family, address.socktype & _KIND_BITS, address.protocol).detach()
        except OSError:  # too many open files; libcurl says what it says of its own
            return pycurl.SOCKET_BAD

    handle.setopt(pycurl.OPENSOCKETFUNCTION, open_socket)


def guard_redirect(handle: pycurl.Curl, guard: Guard, transfer: Transfer, *, once: Callable[..., int] | None) -> None:
    """Have the connection of a redirect allowed, a kept one too. once: the callback that stands there already."""
    if transfer.request.meta.get("proxy"):
        return
    attempt = transfer.attempt = _attempt(guard, transfer)

    def may_go(address: str, *addresses: Any) -> int:
        if not attempt.allows(address):
            transfer.broken = ForbiddenAddressError(attempt.refused)
            return pycurl.PREREQFUNC_ABORT
        return pycurl.PREREQFUNC_OK if once is None else once(address, *addresses)

    handle.setopt(pycurl.PREREQFUNCTION, may_go)


def refusal(transfer: Transfer, code: int) -> str | None:
    """Why a transfer that ended with *code* was not let through; None: that was not the reason."""
    attempt = transfer.attempt
    return attempt.refused if code == COULD_NOT_CONNECT and attempt is not None and not attempt.passed else None


def _attempt(guard: Guard, transfer: Transfer) -> Attempt:
    request = transfer.request
    return guard.attempt(host_of(request.url), request.meta.get(REACH))
