"""Putting: what is on its way to a store, many at once, and whether it is there. Knows nothing of what is put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawler.store.objects.client import Client, wait_for
from crawler.store.objects.lease import NAME, Confirmation

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from crawler.store.objects.address import Mark


class Putting:
    """What a `Bodies` below a prefix has, however it keeps them. mark, lease: of the run; the name of its lease."""

    def __init__(self, client: Client, mark: Mark, *, lease: str = NAME) -> None:
        self._client = client
        self._confirmation = Confirmation(client, mark.token, lease)
        self._pending: list[Future[None]] = []

    def _confirm(self) -> None:
        """Raises StoreError when the prefix is another run's by now."""
        self._confirmation.renew()

    def _begin(self, do: Callable[..., None], *values: Any) -> None:
        self._pending.append(self._client.soon(do, *values))

    def barrier(self) -> None:
        """Return when the store keeps everything that was put, and the prefix is still this run's."""
        pending, self._pending = self._pending, []
        wait_for(pending)
        self._confirm()

    def holds(self, location: str) -> bool:
        """As the ledger says: to ask the store would be a request for every line."""
        return bool(location)

    def close(self) -> None:
        wait_for(self._pending)
        self._client.close()
