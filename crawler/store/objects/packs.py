"""Packs in an object store (`pack=jsonl`): each batch is a part, put whole (a `Bodies`), and read by its frames.

An object cannot be appended to, and what a row points to has to be in the store before the row is committed. So the
writer gathers what makes a part, for a minute at the most (`process.OBJECTS_LINGER_S`), and nothing of it is
acknowledged until it is there. A part is in the ledger before it is put: what a killed run has put and not committed
is removed by the next one.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from crawler.exceptions import BodyError
from crawler.store.objects.client import Client
from crawler.store.objects.lease import NAME
from crawler.store.objects.putting import Putting
from crawler.store.packs import NOTE, by_tree, left_open
from crawler.store.parts import PartNames, PartReader, Spot, framed, locations, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from crawler.items import Shard
    from crawler.store.bodies import Body, Locations
    from crawler.store.ledger import Ledger
    from crawler.store.objects.address import Mark

FRAMES_AHEAD: Final = 16
"""Frames that are on their way to a reader: some 2 MB, unless a frame is one long line."""

LINES_AHEAD: Final = 2000
"""Lines that a reader knows of before it comes to them: to check or to export these takes longer than a frame takes."""


class ObjectPacks(Putting):
    """The parts of one run. mark: of the run that holds the prefix. lease: the name of its lease."""

    stages = False

    def __init__(self, client: Client, mark: Mark, ledger: Ledger, *, lease: str = NAME) -> None:
        super().__init__(client, mark, lease=lease)
        self._ledger = ledger
        self._written: list[tuple[str, int, int]] = []  # name, bytes, lines: what the ledger does not know yet
        self._names = PartNames()

    @classmethod
    def open(cls, mark: Mark, shard: Shard, ledger: Ledger) -> Self:
        """Raises ArgumentError, StoreError."""
        return cls(Client(mark.url, patience_s=mark.patience_s), mark, ledger, lease=shard.file(NAME))

    def put(self, batch: Sequence[Body]) -> Locations:
        self._confirm()
        return by_tree(batch, self._put_part)

    def _put_part(self, tree: str, lines: list[bytes]) -> Callable[[], list[str]]:
        name = self._names.next(tree)
        found: list[str] = []
        part = bytearray()
        for frame in framed(lines):
            packed = pack(frame)
            found += locations(name, len(part), len(packed), frame)
            part += packed
        self._ledger.write(NOTE, (name, 0, 0, False))  # before there is an object: so that no kill leaves one unknown
        self._begin(self._client.put, name, bytes(part))

        def wait() -> list[str]:
            self._written.append((name, len(part), len(lines)))  # of this batch, not of one begun meanwhile
            return found

        return wait

    def enter(self) -> None:
        written, self._written = self._written, []
        for name, size, lines in written:
            self._ledger.write(NOTE, (name, size, lines, True))

    def settle(self, uuid: str, location: str | None) -> None:
        """Nothing waits for its row."""

    def withdraw(self, uuid: str, location: str | None) -> None:
        """What was put and not committed is removed by `recover`."""

    def recover(self) -> None:
        """Remove what a killed run has put and not committed."""
        for name, _ in left_open(self._ledger, self._client.url):
            self._begin(self._client.remove, name)
        self.barrier()
        self._ledger.write("DELETE FROM packs WHERE NOT closed")


class ObjectPartReader(PartReader):
    """The parts below one prefix (a `Reader`)."""

    def __init__(self, client: Client) -> None:
        super().__init__(Path(), client.url)  # no file of this machine is read
        self._client = client
        self._asked: dict[tuple[str, int, int], Future[bytes]] = {}  # frames that are on their way
        self._broken: dict[tuple[str, int, int], str] = {}  # why frames cannot be read, which nobody asks for again

    @classmethod
    def open(cls, mark: Mark) -> Self:
        """Raises ArgumentError, StoreError."""
        return cls(Client(mark.url, patience_s=mark.patience_s))

    def read_all(self, locations: Iterable[str]) -> Iterator[bytes | BodyError]:
        """Frames are got ahead, packed, while their predecessors are read."""
        left = iter(locations)
        ahead: deque[str] = deque()
        while True:
            while len(self._asked) < FRAMES_AHEAD and len(ahead) < LINES_AHEAD:
                if (location := next(left, None)) is None:
                    break
                ahead.append(location)
                self._ask(location)
            if not ahead:
                return
            try:
                yield self.read(ahead.popleft())
            except BodyError as exc:
                yield exc

    def _ask(self, location: str) -> None:
        """Have the frame of a line come, unless it is there or on its way."""
        with suppress(BodyError):  # which is said when the line is read
            spot = Spot.parse(location)
            frame = spot[:3]
            if all(frame not in known for known in (self._frames, self._asked, self._broken)):
                self._asked[frame] = self._client.soon(self._get, spot)

    def _read_frame(self, spot: Spot) -> bytes:
        if (why := self._broken.get(spot[:3])) is not None:
            raise BodyError(why)
        try:
            return super()._read_frame(spot)
        except BodyError as exc:
            self._broken[spot[:3]] = str(exc)
            raise

    def _packed(self, spot: Spot) -> bytes:
        asked = self._asked.pop(spot[:3], None)
        return self._get(spot) if asked is None else asked.result()

    def _get(self, spot: Spot) -> bytes:
        found = self._client.get_range(spot.part, spot.at, spot.size)
        if found is None:
            raise BodyError(f"{self._client.url}/{spot.part}: there is no such object")
        return found

    def size(self, part: str) -> int | None:
        return self._client.size(part)

    def sizes(self, tree: str) -> Iterator[tuple[str, int]]:
        return self._client.sizes(tree)

    def whole(self, part: str) -> bytes:
        found = self._client.get(part)
        if found is None:
            raise BodyError(f"{self._client.url}/{part}: there is no such object")
        return found[0]

    def close(self) -> None:
        self._client.close()
