"""What a run holds while it is on: its directory and, where the bodies go to an object store, the prefix there.

Owns the order in which the two are taken and given back. An output in a directory of its own holds only that.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from crawler.exceptions import StoreError
from crawler.items import WHOLE
from crawler.store import ownership
from crawler.store.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.exceptions import ApiFetchError
    from crawler.items import Shard
    from crawler.store.ledger import Ledger
    from crawler.store.objects.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Remote:
    """An output in an object store. patience_s: how long it may be down.

    copied_s: between copies of the ledger while it changes; None: it is put there at the end alone.
    """

    url: str
    patience_s: float = 120.0
    copied_s: float | None = None


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

            upkeep = Upkeep.take(remote.url, directory, shard, lost=lost, patience_s=remote.patience_s)
        except BaseException:
            place.close()
            raise
        if remote.copied_s is not None:
            upkeep.watch(copied_s=remote.copied_s)
        return cls(place, upkeep)

    def introduce(self, ledger: Ledger, identity: str) -> None:
        """Tell a new ledger whose output this is, as a run on another machine has said. Raises StoreError."""
        if self._upkeep is not None and ownership.owner(ledger) is None:
            ownership.name_owner(ledger, self._upkeep.claim(identity))

    def let_in(self) -> None:
        """Let the next part open its run, here and elsewhere: records have changed hands. Raises StoreError."""
        if self._upkeep is not None:
            self._upkeep.change_hands()
        self.place.let_in()

    def hand_over(self) -> None:
        """Put what the run has made to where its bodies are. Raises StoreError."""
        if self._upkeep is not None:
            self._upkeep.hand_over()

    def put(self, name: str) -> None:
        """Have one file that was changed, or removed, as it is where the bodies are. Raises StoreError."""
        if self._upkeep is not None:
            self._upkeep.put_file(name, gone=True)

    def close(self, *, log: str | None = None, clean: bool = True) -> None:
        """Give it back. log: a file that goes along if it can. clean: as the lease has it."""
        if self._upkeep is not None:
            if log is not None:
                with suppress(StoreError):
                    self._upkeep.put_file(log)
            self._upkeep.close(clean=clean)
        self.place.close()


@contextmanager
def holding(directory: Path, url: str | None, shard: Shard = WHOLE) -> Iterator[Hold]:
    """Hold an output while something in it is changed, without a run. url: its store's. Raises as `Hold.take`."""
    remote = Remote(url) if url is not None else None
    hold = Hold.take(directory, shard, remote, lost=lambda _error: None)  # whatever is put next says so
    try:
        yield hold
    finally:
        hold.close()
