"""Bodies: what the writer asks of whatever keeps them. Files are one answer, packs are another (store.stores chooses).

The order is the same for all: `put`, `barrier`, then the commit that writes the rows, with `enter` in it, then
`settle`. Up to the commit a row's earlier body stays where it is. Knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

from crawler.exceptions import BodyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

V = TypeVar("V")
R = TypeVar("R")


class Body(NamedTuple):
    """What a record has to keep. data: the envelope, or the body alone; None when there was no answer.

    prior: where the record's row has its body up to now, None if it has none. kept: the row stands as it is.
    """

    uuid: str
    ok: bool
    data: bytes | None
    prior: str | None = None
    kept: bool = False


Locations: TypeAlias = Callable[[], "Sequence[str | None]"]
"""Waits until a batch is written; the location of each body, None where there was nothing to write."""


class Bodies(Protocol):
    """Where a run's bodies go. Every method raises StoreError when the store refuses; then the run must stop."""

    @property
    def stages(self) -> bool:
        """Whether a successor waits beside the body it replaces: its row is STAGED until `settle` was made durable.

        Else it has a place of its own, and the row points there from its commit on: `settle` is never asked for.
        """
        ...

    def put(self, batch: Sequence[Body]) -> Locations:
        """Begin to write the bodies of a batch; what it returns is asked once, before the barrier.

        The next batch may be begun before this one is asked for, where nothing is staged; no third one.

        What a killed run may have left of a call is gone then, too, should it bear the same name.
        """
        ...

    def barrier(self) -> None:
        """Return when everything that was put, settled and removed so far would survive a power cut.

        `process` promises no more than that another process sees it.
        """
        ...

    def enter(self) -> None:
        """Write into the ledger what belongs to the rows of the batch, in their transaction."""
        ...

    def settle(self, uuid: str, location: str | None) -> None:
        """Make the store say what a committed row says: *location* is its body, None if it has none now.

        Doing it again changes nothing, so a run that was killed here is mended by the next one.
        """
        ...

    def withdraw(self, uuid: str, location: str | None) -> None:
        """Remove what was written for a call whose record was never committed: all but *location*."""
        ...

    def recover(self) -> None:
        """Undo what a killed run has put and not committed, as far as `put` and `withdraw` do not see to it."""
        ...

    def holds(self, location: str) -> bool:
        """Whether the body of a row is there."""
        ...

    def close(self) -> None:
        """Take no more; what was put is durable by now."""
        ...


class Reader(Protocol):
    """Where the bodies of a directory are read, by whoever changes nothing."""

    def read(self, location: str) -> bytes:
        """What was put, byte for byte. Raises BodyError when it is not there, or cannot be read as it was written.

        Raises StoreError when nobody can tell now: a store that is down.
        """
        ...

    def read_all(self, locations: Iterable[str]) -> Iterator[bytes | BodyError]:
        """What `read` gives or raises, in this order; many at once where that saves waiting."""
        for location in locations:
            try:
                yield self.read(location)
            except BodyError as exc:
                yield exc

    def close(self) -> None: ...


class Tree(Reader, Protocol):
    """Where each body has a name of its own, for who holds all of it against the ledger. Raises StoreError."""

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders right below a folder, and what else is there, by their names from the output on."""
        ...

    def below(self, folder: str) -> Iterator[str]:
        """All that is no folder, however deep; nothing if there is no such folder."""
        ...

    def each(self, ask: Callable[[V], R], values: Iterable[V]) -> Iterator[R]:
        """What *ask* gives for each, in this order; all are asked at once where that saves waiting."""
        return map(ask, values)

    def is_there(self, name: str) -> bool: ...
