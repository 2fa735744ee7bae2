"""What a program did to the files below a folder, operation by operation, as strace(1) saw it.

Owns strace's text, file descriptors and paths; what comes out names inodes and bytes. Nothing is recorded of
SQLite's shared memory, which no power cut outlives.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CALLS: Final = (
    "openat,close,write,pwrite64,ftruncate,fsync,fdatasync,syncfs,mkdir,mkdirat,link,linkat,rename,renameat,renameat2,"
    "unlink,unlinkat"
)
LONGEST: Final = 1 << 20  # bytes of a write that strace is to show

NOT_RECORDED: Final = ("-shm", "list.jsonl")

_LINE: Final = re.compile(r"^(\d+) +(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))$")
_RESULT: Final = re.compile(r"^(.*)\) += (-?\d+)")
_UNFINISHED: Final = " <unfinished ...>"

ROOT: Final = 0
"""The inode of the folder itself."""


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Link:
    """A name for an inode: a new file, a new folder, linkat(2)."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Unlink:
    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    folder: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync or fdatasync. inode: None for syncfs."""

    inode: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that the program wrote to its marks: no operation of the disk's."""

    text: str


Operation = Write | Truncate | Link | Unlink | Rename | Sync | Mark


def record(command: Sequence[str], folder: Path, log: Path) -> None:
    """Run a command under strace. Raises CalledProcessError when it fails."""
    traced = ["strace", "-f", "-xx", f"-s{LONGEST}", f"-etrace={CALLS}", "-o", str(log), *command]
    subprocess.run(traced, check=True, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL)


class Reader:
    """Reads the log of one process, whose threads share their files. folder: absolute, without links."""

    def __init__(self, folder: Path, marks: str) -> None:
        self._folder = folder
        self._marks = marks
        self._paths: dict[int, str] = {}  # of open files
        self._inodes: dict[int, int] = {}
        self._at: dict[int, int] = {}  # where the next write goes
        self._sizes: dict[int, int] = {}
        self._tree: dict[tuple[int, str], int] = {}
        self._next = ROOT + 1

    def read(self, log: Path) -> Iterator[Operation]:
        for name, text, result in _calls(log):
            if result >= 0:
                yield from self._call(name, text.split(", "), result)

    def _call(self, name: str, args: list[str], result: int) -> Iterator[Operation]:
        match name:
            case "openat":
                yield from self._open(args, result)
            case "close":
                for table in (self._paths, self._inodes, self._at):
                    table.pop(int(args[0]), None)
            case "write" | "pwrite64":
                yield from self._write(int(args[0]), _bytes(args[1])[:result], int(args[3]) if len(args) > 3 else None)
            case "ftruncate":
                if (inode := self._inodes.get(int(args[0]))) is not None:
                    self._sizes[inode] = int(args[1])
                    yield Truncate(inode, int(args[1]))
            case "fsync" | "fdatasync":
                if (inode := self._inodes.get(int(args[0]))) is not None:
                    yield Sync(inode)
            case "syncfs":
                yield Sync(None)
            case "mkdir" | "mkdirat" | "unlink" | "unlinkat":
                where = self._where(args[:-1] if name in {"mkdir", "unlinkat"} else args[: 1 + name.endswith("at")])
                if where is not None:
                    yield self._make(where) if name.startswith("mkdir") else self._remove(where)
            case _:
                yield from self._move(name, args)

    def _open(self, args: list[str], fd: int) -> Iterator[Operation]:
        where = self._where(args[:2])
        if where is None:
            return
        folder, name = where
        self._at[fd] = 0
        if "O_TMPFILE" in args[2]:
            self._inodes[fd] = self._new()
            return
        if name == self._marks:
            self._paths[fd] = self._marks
            return
        inode = self._tree.get(where, ROOT if where == (ROOT, "") else None)
        if inode is None:
            inode = self._new()
            yield self._link(where, inode)
        elif "O_TRUNC" in args[2]:
            self._sizes[inode] = 0
            yield Truncate(inode, 0)
        self._inodes[fd] = inode
        self._paths[fd] = f"{self._path_of(folder)}/{name}".rstrip("/")
        if "O_APPEND" in args[2]:
            self._at[fd] = self._sizes.get(inode, 0)

    def _write(self, fd: int, data: bytes, offset: int | None) -> Iterator[Operation]:
        if self._paths.get(fd) == self._marks:
            yield from map(Mark, data.decode().splitlines())
        elif (inode := self._inodes.get(fd)) is not None:
            if offset is None:
                offset = self._at[fd]
                self._at[fd] += len(data)
            self._sizes[inode] = max(self._sizes.get(inode, 0), offset + len(data))
            yield Write(inode, offset, data)

    def _move(self, name: str, args: list[str]) -> Iterator[Operation]:
        pairs = [args[0:2], args[2:4]] if "at" in name else [args[0:1], args[1:2]]
        new = self._where(pairs[1])
        if new is None:
            return
        if name.startswith("link"):
            descriptor = _bytes(pairs[0][1]).decode()  # /proc/self/fd/7
            yield self._link(new, self._inodes[int(descriptor.rpartition("/")[2])])
            return
        old = self._where(pairs[0])
        assert old is not None
        assert old[0] == new[0], "a file that moves to another folder"
        self._tree[new] = self._tree.pop(old)
        yield Rename(old[0], old[1], new[1])

    # Names

    def _new(self) -> int:
        self._next += 1
        return self._next - 1

    def _link(self, where: tuple[int, str], inode: int, *, is_folder: bool = False) -> Link:
        self._tree[where] = inode
        return Link(*where, inode, is_folder)

    def _make(self, where: tuple[int, str]) -> Link:
        return self._link(where, self._new(), is_folder=True)

    def _remove(self, where: tuple[int, str]) -> Unlink:
        del self._tree[where]
        return Unlink(*where)

    def _where(self, args: Sequence[str]) -> tuple[int, str] | None:
        """Folder and name of what a call is about; None of what is not recorded. args: [descriptor,] path."""
        path = _bytes(args[-1]).decode()
        if not path.startswith("/"):
            if len(args) < 2 or not args[0].isdigit() or (base := self._paths.get(int(args[0]))) is None:
                return None
            path = f"{base}/{path}"
        path = os.path.normpath(path)
        if not f"{path}/".startswith(f"{self._folder}/") or path.endswith(NOT_RECORDED):
            return None
        inode, name = ROOT, ""
        for part in Path(path).relative_to(self._folder).parts:
            if name:
                inode = self._tree[inode, name]
            name = part
        return inode, name

    def _path_of(self, inode: int) -> str:
        if inode == ROOT:
            return str(self._folder)
        folder, name = next(where for where, found in self._tree.items() if found == inode)
        return f"{self._path_of(folder)}/{name}"


def _calls(log: Path) -> Iterator[tuple[str, str, int]]:
    """Name, arguments as text, result of each call, in the order in which they ended."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            thread, name, text, resumed, rest = found.groups()
            if resumed is not None:
                name, text = resumed, begun.pop(thread) + rest
            elif text.endswith(_UNFINISHED):
                begun[thread] = text.removesuffix(_UNFINISHED)
                continue
            if (ended := _RESULT.match(text)) is not None:
                yield name, ended[1], int(ended[2])


def _bytes(text: str) -> bytes:
    """A string of strace's: "\\x61\\x62"; AT_FDCWD and the like are none."""
    assert text.startswith('"'), text
    assert text.endswith('"'), f"cut short by strace: {text[-10:]}"
    return bytes.fromhex(text[1:-1].replace("\\x", ""))
