"""A disk that keeps what it was told to sync, and of the rest whatever is worst.

Each operation that was not synced when the power goes is kept, lost, torn (some of its sectors) or blanked (its
place is there, filled with zeros), each by itself: more than most file systems do, but all that POSIX forbids is
kept: a rename happens or does not, and of the operations on one name none happens before an earlier one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.proofs.powercuts.recording import ROOT, Link, Mark, Operation, Rename, Sync, Truncate, Unlink, Write

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

SECTOR: Final = 512

Names = dict[tuple[int, str], int]
Naming = Link | Unlink | Rename


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely an operation that was not synced is kept: naming ones, and writes; of other writes, how many tear."""

    naming: float
    data: float
    torn: float = 0.5


CALM: Final = Weather(1.0, 1.0)
WEATHERS: Final = (
    CALM,  # the end of all processes, and no power cut
    Weather(0.0, 0.0, 0.0),
    Weather(1.0, 0.0, 0.0),  # names without bytes: ext4 without its ordering, many SSDs
    Weather(0.0, 1.0),  # bytes without names
    Weather(0.5, 0.5),
    Weather(0.9, 0.5, 1.0),
    Weather(0.5, 0.9),
    Weather(0.9, 0.1),
)


@dataclass(slots=True)
class Disk:
    """What is safe, and what is not yet. names: (folder, name) -> inode."""

    names: Names = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    folders: set[int] = field(default_factory=set)
    unsynced_names: list[Naming] = field(default_factory=list)
    unsynced_data: dict[int, list[Write | Truncate]] = field(default_factory=lambda: defaultdict(list))

    def do(self, operation: Operation) -> None:
        match operation:
            case Write() | Truncate():
                self.unsynced_data[operation.inode].append(operation)
            case Link() | Unlink() | Rename():
                self.unsynced_names.append(operation)
                if isinstance(operation, Link) and operation.is_folder:
                    self.folders.add(operation.inode)
            case Sync(inode=None):
                self._sync_names(self.unsynced_names)
                for inode in list(self.unsynced_data):
                    self._sync_data(inode)
            case Sync(inode=int(inode)):
                self._sync_data(inode)
                self._sync_names([naming for naming in self.unsynced_names if naming.folder == inode])
            case Mark():
                pass

    def _sync_names(self, namings: list[Naming]) -> None:
        for naming in namings:
            apply_name(self.names, naming)
        done = set(map(id, namings))
        self.unsynced_names = [naming for naming in self.unsynced_names if id(naming) not in done]

    def _sync_data(self, inode: int) -> None:
        content = bytearray(self.contents.get(inode, b""))
        for change in self.unsynced_data.pop(inode, ()):
            _change(content, change)
        self.contents[inode] = bytes(content)

    def cut(self, weather: Weather, rng: random.Random) -> Remains:
        """What is found after the power went now."""
        names = dict(self.names)
        lost: set[tuple[int, str]] = set()
        for naming in self.unsynced_names:
            touched = _touched(naming)
            if lost.isdisjoint(touched) and rng.random() < weather.naming:
                apply_name(names, naming)
            else:
                lost.update(touched)
        changed = {
            inode: _weathered(self.contents.get(inode, b""), changes, weather, rng)
            for inode, changes in self.unsynced_data.items()
        }
        return Remains(names, self.contents, changed, self.folders)


@dataclass(frozen=True, slots=True)
class Remains:
    """The disk after a cut. changed: inode -> what became of those that were being written."""

    names: Names
    contents: Mapping[int, bytes]
    changed: Mapping[int, bytes]
    folders: AbstractSet[int]

    def files(self) -> dict[str, int]:
        """Path below the root -> inode, of every file that can be reached."""
        children: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for (folder, name), inode in self.names.items():
            children[folder].append((name, inode))
        found: dict[str, int] = {}
        waiting = [("", ROOT)]
        while waiting:
            path, folder = waiting.pop()
            for name, inode in children.get(folder, ()):
                if inode in self.folders:
                    waiting.append((f"{path}{name}/", inode))
                else:
                    found[f"{path}{name}"] = inode
        return found

    def content(self, inode: int) -> bytes:
        changed = self.changed.get(inode)
        return changed if changed is not None else self.contents.get(inode, b"")


def apply_name(names: Names, naming: Naming) -> None:
    match naming:
        case Link(folder, name, inode, _):
            names[folder, name] = inode
        case Unlink(folder, name):
            names.pop((folder, name), None)
        case Rename(folder, old, new):
            if (inode_ := names.pop((folder, old), None)) is not None:
                names[folder, new] = inode_


def _touched(naming: Naming) -> set[tuple[int, str]]:
    if isinstance(naming, Rename):
        return {(naming.folder, naming.old), (naming.folder, naming.new)}
    return {(naming.folder, naming.name)}


def _change(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        if len(content) < change.offset:
            content.extend(bytes(change.offset - len(content)))
        content[change.offset : change.offset + len(change.data)] = change.data


def _weathered(content: bytes, changes: list[Write | Truncate], weather: Weather, rng: random.Random) -> bytes:
    found = bytearray(content)
    for change in changes:
        if rng.random() < weather.data:
            _change(found, change)
        elif isinstance(change, Write) and rng.random() < weather.torn:
            if rng.random() < 0.5:
                _tear(found, change, rng)
            elif len(found) < change.offset + len(change.data):  # its place, and nothing in it
                found.extend(bytes(change.offset + len(change.data) - len(found)))
    return bytes(found)


def _tear(content: bytearray, write: Write, rng: random.Random) -> None:
    """Some sectors of it."""
    at = 0
    while at < len(write.data):
        size = SECTOR - (write.offset + at) % SECTOR
        if rng.random() < 0.5:
            _change(content, Write(write.inode, write.offset + at, write.data[at : at + size]))
        at += size
