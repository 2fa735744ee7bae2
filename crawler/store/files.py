"""Bodies as files: written whole or not at all, visible only when whole, on disk when the barrier says so.

Owns names and folders below the output directory and every system call that makes a body durable.
Knows nothing of rows: the writer tells it what to put, then asks for the barrier, then lets it settle.
A file that already belongs to a row is never touched before that row's successor is committed: the new
one is written as `.new` and moved into place afterwards. No link that stands in the tree is followed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from crawler.exceptions import BodyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from crawler.store.bodies import Body, Locations
    from crawler.store.place import Place

Durability = Literal["process", "batch", "strict"]

RESPONSES: Final = "responses"
ERRORS: Final = "errors"
STAGED: Final = ".new"  # a successor that waits for its row
PARTIAL: Final = ".tmp"  # being written, where O_TMPFILE is not to be had

LOCATION: Final = re.compile(r"(?:responses|errors)/(?:[0-9a-f]{2}/){0,2}[0-9a-f-]{36}\.json(?:\.new)?")
"""What a location looks like: a ledger that somebody else wrote leads nowhere else."""

_NO_TMPFILE: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EPERM}


def location(uuid: str, *, ok: bool, levels: int) -> str:
    """Path of a record's file below the output directory, in 256 ** levels folders."""
    folders = "".join(f"{uuid[2 * level : 2 * level + 2]}/" for level in range(levels))
    return f"{RESPONSES if ok else ERRORS}/{folders}{uuid}.json"


class Files:
    """The folder tree of one output directory (a `Bodies`). barriers: how many were asked of the disk so far.

    durability: `process` asks none; `batch` one syncfs for all that was put; `strict`, and `batch` where
    there is no syncfs, an fsync of every file that was put and of every folder that changed. levels: of folders.
    """

    stages = True

    def __init__(self, place: Place, durability: Durability, *, levels: int = 1) -> None:
        self._root = place.fd
        self._shown = place.directory
        self._device = os.fstat(place.fd).st_dev
        self._folders: set[str] = set()
        self._tmpfile = _tmpfile_works(place.fd)
        self._durable = durability != "process"
        self._syncfs = _find_syncfs() if durability == "batch" else None
        self._unsynced: dict[str, None] = {}  # a set in order
        self._levels = levels
        self.barriers = 0

    def put(self, batch: Sequence[Body]) -> Locations:
        locations = [self._put(body) for body in batch]
        return lambda: locations

    def _put(self, body: Body) -> str | None:
        """Its location, if a file was written. What a killed run left under the record's name, no row's file, goes."""
        uuid, ok, data, prior, kept = body
        if kept:
            if prior is not None:
                self.discard(prior + STAGED)
            return None
        if prior is None:  # else `settle` sees to it, after the commit
            for other in (True, False):
                if data is None or other is not ok:
                    self.discard(location(uuid, ok=other, levels=self._levels))
        if data is None:
            return None
        name = location(uuid, ok=ok, levels=self._levels)
        self.write(name, data, staged=prior is not None)
        return name

    def write(self, name: str, data: bytes, *, staged: bool) -> None:
        """Write *data* as *name*; as the successor that `settle` moves there, if *staged*. Raises StoreError."""
        name = name + STAGED if staged else name
        folder = name.rpartition("/")[0]
        try:
            if folder not in self._folders:
                self._make(folder)
            if self._tmpfile:
                self._put_linked(folder, name, data)
            else:
                self._put_renamed(name, data)
        except OSError as exc:
            raise self._error("write", name, exc) from exc
        self._changed(name, folder)

    def barrier(self) -> None:
        """Return when everything put so far would survive a power cut (`process`: at once).

        Raises StoreError when the disk says otherwise; asking again would be answered wrongly
        (after a failed fsync Linux may call the lost pages clean), so the run must stop.
        """
        if not self._durable:
            return
        self.barriers += 1
        if self._syncfs is not None:
            if self._syncfs(self._root) != 0:
                raise StoreError(f"cannot sync {self._shown}: {os.strerror(ctypes.get_errno())}")
            return
        unsynced, self._unsynced = self._unsynced, {}
        for name in unsynced:
            self._sync(name)

    def enter(self) -> None:
        """The rows say it all."""

    def settle(self, uuid: str, name: str | None) -> None:
        """Move a staged successor into place, remove any other file of the record. On disk after the next barrier."""
        for ok in (True, False):
            file = location(uuid, ok=ok, levels=self._levels)
            if file != name:
                self.discard(file)
                continue
            try:
                os.rename(file + STAGED, file, src_dir_fd=self._root, dst_dir_fd=self._root)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise self._error("settle", file, exc) from exc
            self._changed(file.rpartition("/")[0])

    def withdraw(self, uuid: str, name: str | None) -> None:
        for ok in (True, False):
            file = location(uuid, ok=ok, levels=self._levels)
            self.discard(file + STAGED)
            if file != name:
                self.discard(file)

    def recover(self) -> None:
        """What was put and not committed is replaced or removed by whoever puts under its name."""

    def holds(self, name: str) -> bool:
        try:
            return stat.S_ISREG(os.stat(name, dir_fd=self._root).st_mode)
        except OSError:
            return False

    def close(self) -> None:
        """No file is open."""

    def discard(self, name: str) -> None:
        """Remove a file that no row names, if there is one. Raises StoreError."""
        try:
            os.unlink(name, dir_fd=self._root)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise self._error("remove", name, exc) from exc
        self._changed(name.rpartition("/")[0])

    def _changed(self, *names: str) -> None:
        if self._durable and self._syncfs is None:
            self._unsynced.update(dict.fromkeys(names))

    def _put_linked(self, folder: str, name: str, data: bytes) -> None:
        fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=self._root)
        try:
            write_all(fd, data)
            try:
                self._link(fd, name)
            except FileExistsError:  # left by a run that was killed between file and row
                with suppress(FileNotFoundError):
                    os.unlink(name + PARTIAL, dir_fd=self._root)
                self._link(fd, name + PARTIAL)
                os.rename(name + PARTIAL, name, src_dir_fd=self._root, dst_dir_fd=self._root)
        finally:
            os.close(fd)

    def _link(self, fd: int, name: str) -> None:
        # linkat(AT_SYMLINK_FOLLOW), open(2): the way to give an O_TMPFILE file its first name.
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=True)

    def _put_renamed(self, name: str, data: bytes) -> None:
        partial = name + PARTIAL
        with suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=self._root)
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=self._root)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.rename(partial, name, src_dir_fd=self._root, dst_dir_fd=self._root)

    def _make(self, folder: str) -> None:
        parent, _, _ = folder.rpartition("/")
        if parent and parent not in self._folders:
            self._make(parent)
        try:
            os.mkdir(folder, 0o777, dir_fd=self._root)
        except FileExistsError:
            found = os.stat(folder, dir_fd=self._root, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):  # a link, too: it may lead anywhere
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
            if found.st_dev != self._device:  # which no barrier of ours reaches
                raise OSError(errno.EXDEV, "on another file system than the output directory") from None
        self._changed(parent or ".")  # also when it stood there: a killed run may have made it just now
        self._folders.add(folder)

    def _sync(self, name: str) -> None:
        try:
            sync(self._root, name)
        except OSError as exc:
            raise self._error("sync", name, exc) from exc

    def _error(self, verb: str, name: str, exc: OSError) -> StoreError:
        return StoreError(f"cannot {verb} {self._shown / name}: {exc.strerror}")


def open_regular(path: Path) -> int:
    """Open a file of ours to read it. Raises BodyError when there is none, or something that is no file of ours."""
    try:
        # Not to be kept waiting by a pipe, nor led away by a link.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise BodyError(f"{path}: {exc.strerror}") from exc
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BodyError(f"{path}: no regular file")
    return fd


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _tmpfile_works(root: int) -> bool:
    """Whether the file system can write a file before it has a name (not on NFS, macOS, some overlays)."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=root)
    except OSError as exc:
        if exc.errno in _NO_TMPFILE:
            return False
        raise StoreError(f"output directory: {exc.strerror}") from exc
    os.close(fd)
    return os.access("/proc/self/fd", os.X_OK)


def _find_syncfs() -> Callable[[int], int] | None:
    """Libc's syncfs(2): one call for a whole batch; None elsewhere than on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is not None:
        syncfs.argtypes, syncfs.restype = [ctypes.c_int], ctypes.c_int
    return syncfs


def sync(root: int, name: str) -> None:
    """Have a file or a folder below the folder *root* on disk. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
    try:
        full_sync(fd)
    finally:
        os.close(fd)


def full_sync(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415  # not on every platform this is type-checked for

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync(2) on macOS stops at the drive's cache
    else:
        os.fsync(fd)
