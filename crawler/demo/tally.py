"""What the API has seen: the server's own word on concurrency, repeats and what went out.

Knows nothing of HTTP; a resource is the text under which requests are counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import Any, Final

LOG_LENGTH: Final = 200_000  # about 40 MB; older answers are forgotten


class Tally:
    """Counts of one API process, since its start or the last reset."""

    def __init__(self) -> None:
        self._held = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew. Requests held now go on being held, so they are the peak to begin with."""
        self.requests = 0
        self.connections = 0
        self._peak = self._held
        self._routes: Counter[str] = Counter()
        self._seen: dict[str, int] = {}
        self._log: deque[tuple[str, bytes]] = deque(maxlen=LOG_LENGTH)

    def began(self, *, route: str, resource: str) -> int:
        """Hold a request. Returns how many times the resource was asked for, this time included."""
        self.requests += 1
        self._routes[route] += 1
        self._held += 1
        self._peak = max(self._peak, self._held)
        times = self._seen[resource] = self._seen.get(resource, 0) + 1
        return times

    def ended(self, *, resource: str, sent: bytes | None) -> None:
        """Let go of a request. sent: the whole body that went out, None when none did."""
        self._held -= 1
        if sent is not None:
            self._log.append((resource, hashlib.sha256(sent).digest()))

    def stats(self) -> dict[str, Any]:
        """`requests`, `routes` (name -> requests), `held`, `peak` (most held at once), `connections`."""
        return {
            "requests": self.requests,
            "routes": dict(self._routes),
            "held": self._held,
            "peak": self._peak,
            "connections": self.connections,
        }

    def seen(self, prefix: str) -> dict[str, int]:
        """Resource -> requests received for it."""
        return {resource: times for resource, times in self._seen.items() if resource.startswith(prefix)}

    def log(self, prefix: str) -> list[tuple[str, str]]:
        """(resource, SHA-256 in hex of the body) of every whole answer, in the order they went out."""
        return [(resource, digest.hex()) for resource, digest in self._log if resource.startswith(prefix)]
