"""Packs: bodies appended to parts (`pack=jsonl`), one frame a batch, and never touched again (a `Bodies`).

A thread packs the lines of a batch and waits for the disk, neither of which needs the interpreter, while the next batch
is made.

Owns when a part begins and ends, its name, and every system call that makes it durable. A part is in the ledger before
it is on the disk, and how far it is committed stands there beside the rows: what a killed run has left behind that
point is cut off by the next one, which begins parts of its own. A record that is made again is written in a new place,
where its row then points; the old line stays, and nothing points to it.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crawler.exceptions import BodyError, StoreError
from crawler.store.files import ERRORS, RESPONSES, full_sync, sync, write_all
from crawler.store.parts import PartNames, Spot, check_name, framed, locations, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from crawler.store.bodies import Body, Locations
    from crawler.store.files import Durability
    from crawler.store.ledger import Ledger
    from crawler.store.place import Place

PART_BYTES: Final = 128 * 1024 * 1024
"""A part is closed when it has so many: what one task of Spark takes, for it cannot split a part."""

PART_AGE_S: Final = 60.0
"""And when it is so old, so that others may read it: at 1,000 calls a second, 60 files an hour."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
NOTE: Final = (
    "INSERT INTO packs (name, bytes, lines, closed) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
    "SET bytes = excluded.bytes, lines = excluded.lines, closed = excluded.closed"
)
"""A part as the ledger has it: name, bytes, lines, whether it is closed."""


@dataclass(slots=True)
class _Part:
    """An open part. bytes, lines: written and synced so far. ahead: batches that the thread was given beyond these."""

    name: str
    fd: int
    begun_s: float
    bytes: int = 0
    lines: int = 0
    ahead: int = 0
    is_noted: bool = True  # the ledger says the same
    is_closed: bool = False

    @property
    def is_due(self) -> bool:
        """Whether it is to be closed."""
        return self.bytes >= PART_BYTES or time.monotonic() - self.begun_s >= PART_AGE_S


def by_tree(batch: Sequence[Body], begin: Callable[[str, list[bytes]], Callable[[], list[str]]]) -> Locations:
    """Have the lines of each tree written. begin: given a tree and its lines; what waits for the location of each."""
    waits = []
    for ok, tree in ((True, RESPONSES), (False, ERRORS)):
        chosen = [at for at, body in enumerate(batch) if body.data is not None and body.ok is ok]
        if chosen:
            waits.append((chosen, begin(tree, [data for at in chosen if (data := batch[at].data) is not None])))

    def locations() -> list[str | None]:
        found: list[str | None] = [None] * len(batch)
        for chosen, wait in waits:
            for at, place in zip(chosen, wait(), strict=True):
                found[at] = place
        return found

    return locations


def left_open(ledger: Ledger, where: str) -> Iterator[tuple[str, int]]:
    """The parts of killed runs, and how many bytes of each are committed. where: as an error names the output.

    Raises StoreError.
    """
    for name, size in ledger.query("SELECT name, bytes FROM packs WHERE NOT closed"):
        try:
            check_name(name)
        except BodyError as exc:
            raise StoreError(f"ledger of {where}: {exc}") from exc
        yield name, size


class Packs:
    """The parts of one run, at most one open in each tree."""

    stages = False

    def __init__(self, place: Place, ledger: Ledger, durability: Durability) -> None:
        self._root = place.fd
        self._shown = place.directory
        self._ledger = ledger
        self._durable = durability != "process"
        self._thread = ThreadPoolExecutor(1, "packs")
        self._parts: dict[str, _Part] = {}
        self._ended: list[_Part] = []  # to be closed, and the ledger does not know it yet
        self._folders: set[str] = set()
        self._unsynced_folders: dict[str, None] = {}
        self._names = PartNames()

    def put(self, batch: Sequence[Body]) -> Locations:
        return by_tree(batch, self._append)

    def _append(self, tree: str, lines: list[bytes]) -> Callable[[], list[str]]:
        """Begin to write lines into the open part of a tree."""
        part, frames = self._part(tree), [*framed(lines)]
        writing = self._thread.submit(self._write, part, frames)
        part.ahead += 1

        def wait() -> list[str]:
            found: list[str] = []
            for frame, size in zip(frames, writing.result(), strict=True):
                found += locations(part.name, part.bytes, size, frame)
                part.bytes += size
            part.lines += len(lines)
            part.ahead -= 1
            part.is_noted = False
            return found

        return wait

    def _write(self, part: _Part, frames: Iterable[Iterable[bytes]]) -> list[int]:
        """In the thread: how long each frame is on the disk."""
        packed = [pack(frame) for frame in frames]
        verb = "write"
        try:
            write_all(part.fd, b"".join(packed))
            verb = "sync"
            if self._durable:
                full_sync(part.fd)
        except OSError as exc:
            raise self._error(verb, part.name, exc) from exc
        return [len(frame) for frame in packed]

    def _part(self, tree: str) -> _Part:
        """The open part of a tree, a new one if need be."""
        part = self._parts.get(tree)
        if part is not None and part.is_due:
            part.is_closed, part.is_noted = True, False
            self._ended.append(self._parts.pop(tree))
            part = None
        if part is None:
            part = self._parts[tree] = self._begin(tree)
        return part

    def _begin(self, tree: str) -> _Part:
        name = self._names.next(tree)
        self._ledger.write(NOTE, (name, 0, 0, False))  # before there is a file: so that no kill leaves one unknown
        try:
            if tree not in self._folders:
                with suppress(FileExistsError):
                    os.mkdir(tree, 0o777, dir_fd=self._root)
                self._folders.add(tree)
                self._unsynced_folders["."] = None
            folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
            try:
                fd = os.open(name.rpartition("/")[2], _CREATE, 0o666, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as exc:
            raise self._error("write", name, exc) from exc
        self._unsynced_folders[tree] = None
        return _Part(name, fd, time.monotonic())

    def barrier(self) -> None:
        """The parts are on disk once they are written; a new one is only with its folder."""
        name = ""
        try:
            for name in self._unsynced_folders if self._durable else ():
                sync(self._root, name)
        except OSError as exc:
            raise self._error("sync", name, exc) from exc
        self._unsynced_folders = {}

    def enter(self) -> None:
        """Write down how far each part is committed."""
        for part in (*self._ended, *self._parts.values()):
            if not part.is_noted:
                self._ledger.write(NOTE, (part.name, part.bytes, part.lines, part.is_closed))
                part.is_noted = True
        while self._ended:
            os.close(self._ended.pop().fd)

    def settle(self, uuid: str, location: str | None) -> None:
        """Nothing waits for its row."""

    def withdraw(self, uuid: str, location: str | None) -> None:
        """What was put and not committed is cut off by `recover`."""

    def recover(self) -> None:
        """Cut every part of a killed run back to what is committed of it, and close it."""
        for name, size in left_open(self._ledger, str(self._shown)):
            self._cut(name, size)
        self._ledger.write("DELETE FROM packs WHERE NOT closed AND bytes = 0")
        self._ledger.write("UPDATE packs SET closed = 1 WHERE NOT closed")

    def _cut(self, name: str, size: int) -> None:
        try:
            if size == 0:
                os.unlink(name, dir_fd=self._root)
                return
            fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._root)
            try:
                if os.fstat(fd).st_size > size:
                    os.ftruncate(fd, size)
                    full_sync(fd)
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return  # `verify` says so, should rows point there
        except OSError as exc:
            raise self._error("cut", name, exc) from exc

    def holds(self, location: str) -> bool:
        try:
            spot = Spot.parse(location)
            return os.stat(spot.part, dir_fd=self._root, follow_symlinks=False).st_size >= spot.at + spot.size
        except (BodyError, OSError):
            return False

    def close(self) -> None:
        self._thread.shutdown()
        parts = [*self._ended, *self._parts.values()]
        self._ended, self._parts = [], {}
        for part in parts:
            os.close(part.fd)
        if all(part.is_noted and not part.ahead for part in parts):  # else the next run asks what is durable
            for part in parts:
                self._ledger.write("UPDATE packs SET closed = 1 WHERE name = ?", (part.name,))

    def _error(self, verb: str, name: str, exc: OSError) -> StoreError:
        return StoreError(f"cannot {verb} {self._shown / name}: {exc.strerror}")
