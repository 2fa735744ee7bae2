"""The table: every behaviour, in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.hostile import (
    bodies,
    codings,
    content,
    framing,
    headers,
    http2,
    keepalive,
    redirects,
    resets,
    statuses,
    tls,
)

if TYPE_CHECKING:
    from tests.hostile.behaviour import Behaviour

GROUPS: Final[dict[str, tuple[Behaviour, ...]]] = {
    "Where a body ends": framing.GROUP,
    "Status lines": statuses.GROUP,
    "Headers": headers.GROUP,
    "No body, too much body, and slow ones": bodies.GROUP,
    "Content codings": codings.GROUP,
    "Connections that end": resets.GROUP,
    "Connections that are kept": keepalive.GROUP,
    "Redirects": redirects.GROUP,
    "Content": content.GROUP,
    "TLS": tls.GROUP,
    "HTTP/2": http2.GROUP,
}

BEHAVIOURS: Final = tuple(behaviour for group in GROUPS.values() for behaviour in group)
