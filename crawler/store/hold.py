"""What a run holds while it is on: its directory and, where the bodies go to an object store, the prefix there.

Owns the order in which the two are taken and given back. An output in a directory of its own holds only that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from crawler.exceptions import StoreError
from crawler.store.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.exceptions import ApiFetchError
    from crawler.items import Shard
    from crawler.store.objects.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Remote:
    """An output in an object store. patience_s: how long it may be down. copied_s: between copies of the ledger."""

    url: str
    patience_s: float = 120.0
    copied_s: float = 300.0


class Hold:
    """A directory, and perhaps a prefix, that are this run's until `close`."""

    def __init__(self, place: Place, upkeep: Upkeep | None) -> None:
        self.place = place
        self._upkeep = upkeep

    @classmethod
    def take(
        cls, directory: Path, shard: Shard, remote: Remote | None, *, lost: Callable[[ApiFetchError], None]
    ) -> Self:
        """Raises as `Place.take` and `Upkeep.take` do. lost: called, in another thread, when the prefix is lost."""
        place = Place.take(directory, shard)
        if remote is None:
            return cls(place, None)
        try:
            from crawler.store.objects.upkeep import Upkeep  # noqa: PLC0415  # for those who have obstore

            upkeep = Upkeep.take(remote.url, directory, lost=lost, patience_s=remote.patience_s)
        except BaseException:
            place.close()
            raise
        upkeep.watch(copied_s=remote.copied_s)
        return cls(place, upkeep)

    def hand_over(self) -> None:
        """Put what the run has made to where its bodies are. Raises StoreError."""
        if self._upkeep is not None:
            self._upkeep.hand_over()

    def close(self, *, log: str | None = None, clean: bool = True) -> None:
        """Give it back. log: a file that goes along if it can. clean: as the lease has it."""
        if self._upkeep is not None:
            if log is not None:
                with suppress(StoreError):
                    self._upkeep.put_file(log)
            self._upkeep.close(clean=clean)
        self.place.close()
