"""Bodies as objects (a `Bodies`): the same names as files have, put many at once, acknowledged by the store.

A body that belongs to a row is never touched before its successor's row is committed: the new one is put as `.new`
and moved into place afterwards, by the store itself. Knows nothing of rows.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Self

from crawler.exceptions import BodyError
from crawler.store.files import LOCATION, STAGED, location
from crawler.store.objects.client import AT_ONCE, Client, wait_for
from crawler.store.objects.lease import NAME
from crawler.store.objects.putting import Putting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from crawler.items import Shard
    from crawler.store.bodies import Body, Locations, R, V
    from crawler.store.objects.address import Mark


class ObjectBodies(Putting):
    """The bodies below one prefix. mark: of the run that holds it. levels: of folders. lease: the name of the run's."""

    stages = True

    def __init__(self, client: Client, mark: Mark, *, levels: int, lease: str = NAME) -> None:
        super().__init__(client, mark, lease=lease)
        self._may_be_left = mark.killed  # objects of a run that was killed between object and row
        self._levels = levels

    @classmethod
    def open(cls, mark: Mark, shard: Shard, *, levels: int) -> Self:
        """Raises ArgumentError, StoreError."""
        return cls(Client(mark.url, patience_s=mark.patience_s), mark, levels=levels, lease=shard.file(NAME))

    def put(self, batch: Sequence[Body]) -> Locations:
        self._confirm()
        locations = [self._put(body) for body in batch]
        return lambda: locations

    def _put(self, body: Body) -> str | None:
        uuid, ok, data, prior, kept = body
        left: list[str] = []
        if self._may_be_left and kept and prior is not None:
            left.append(prior + STAGED)
        elif self._may_be_left and prior is None:
            left += [self._name(uuid, ok=other) for other in (True, False) if data is None or other is not ok]
        if kept or data is None:
            if left:
                self._begin(self._client.remove, *left)
            return None
        name = self._name(uuid, ok=ok)
        self._begin(self._write, name if prior is None else name + STAGED, data, left)
        return name

    def _write(self, name: str, data: bytes, left: list[str]) -> None:
        self._client.put(name, data)
        self._client.remove(*left)

    def enter(self) -> None:
        """The rows say it all."""

    def settle(self, uuid: str, location: str | None) -> None:
        self._begin(self._settle, uuid, location)

    def _settle(self, uuid: str, location: str | None) -> None:
        for ok in (True, False):
            name = self._name(uuid, ok=ok)
            if name == location:
                self._client.move(name + STAGED, name)
            else:
                self._client.remove(name)

    def withdraw(self, uuid: str, location: str | None) -> None:
        for ok in (True, False):
            name = self._name(uuid, ok=ok)
            self._begin(self._client.remove, name + STAGED, *([name] if name != location else []))

    def recover(self) -> None:
        """What a killed run has put goes as its calls are made again."""

    def _name(self, uuid: str, *, ok: bool) -> str:
        return location(uuid, ok=ok, levels=self._levels)


class ObjectReader:
    """The bodies below one prefix for whoever changes nothing (a `Tree`)."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def open(cls, mark: Mark) -> Self:
        """Raises ArgumentError, StoreError."""
        return cls(Client(mark.url, patience_s=mark.patience_s))

    def read(self, location: str) -> bytes:
        if LOCATION.fullmatch(location) is None:
            raise BodyError(f"{location!r} is no place of a body in {self._client.url}")
        found = self._client.get(location)
        if found is None:
            raise BodyError(f"{self._client.url}/{location}: there is no such object")
        return found[0]

    def read_all(self, locations: Iterable[str]) -> Iterator[bytes | BodyError]:
        """As many at once as the client takes, so that is what is held in memory."""
        under_way: deque[Future[bytes]] = deque()
        left = iter(locations)
        while True:
            for name in islice(left, AT_ONCE - len(under_way)):
                under_way.append(self._client.soon(self.read, name))
            if not under_way:
                return
            try:
                yield under_way.popleft().result()
            except BodyError as exc:
                yield exc

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        return self._client.entries(folder)

    def below(self, folder: str) -> Iterator[str]:
        return self._client.below(folder)

    def each(self, ask: Callable[[V], R], values: Iterable[V]) -> Iterator[R]:
        asked: list[Future[R]] = [self._client.soon(ask, value) for value in values]
        return (each.result() for each in asked)

    def is_there(self, name: str) -> bool:
        return self._client.size(name) is not None

    def close(self) -> None:
        self._client.close()


def removed(mark: Mark, names: Iterable[str]) -> int:
    """Remove objects; how many there were. Raises StoreError."""
    with closing(Client(mark.url, patience_s=mark.patience_s)) as client:

        def remove(name: str) -> bool:
            if client.size(name) is None:
                return False
            client.remove(name)
            return True

        pending = [client.soon(remove, name) for name in names]
        wait_for(pending)
        return sum(each.result() for each in pending)
