"""The output directory as a place: made, probed, and held by one run at a time, or by the parts of one list.

Owns the locks (the system's own, so that a killed run leaves none: the whole directory's is on the directory
itself, a part's on a file of its own) and the refusal of file systems on which neither locks nor SQLite's WAL
are safe. Knows nothing of what is stored.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from crawler.exceptions import OtherRunError, StoreError
from crawler.items import WHOLE, Shard

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)

LEFT_BEHIND_S: Final = 2.0
"""How long we wait for the lock: the writer of a run that was killed ends with its last batch."""


LOCK: Final = "ledger.lock"
"""A part's lock, beside its ledger; that of the whole is the door, which one part at a time goes through."""


class Place:
    """An output directory held by this process until `close`. fd: the open directory.

    held: what has to be open for as long as anybody writes for this run, the directory included.
    """

    def __init__(self, directory: Path, fd: int, lock: int | None = None, door: int | None = None) -> None:
        self.directory = directory
        self.fd = fd
        self.held = (fd,) if lock is None else (fd, lock)
        self._door = door

    @classmethod
    def take(cls, directory: Path, shard: Shard = WHOLE) -> Self:
        """Make *directory* if need be and hold it: alone, or a part of it beside others of the same number.

        A part is alone in it, but for parts that run already, until `let_in`.
        Raises OtherRunError when another run holds it, in which case nothing in it is changed, and
        StoreError when it cannot be made or written, or lies on a network file system.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise StoreError(f"output directory {directory}: {exc.strerror}") from exc
        try:
            _lock(fd, fcntl.LOCK_SH if shard.is_part else fcntl.LOCK_EX)
            _refuse_network(directory, fd)
            _probe(directory, fd)
            locks = _take_part(directory, fd, shard) if shard.is_part else ()
        except BlockingIOError as exc:
            os.close(fd)
            raise OtherRunError(
                f"another run holds {directory}, or a part of it; wait for it, or stop it first"
            ) from exc
        except OSError as exc:
            os.close(fd)
            raise StoreError(f"output directory {directory}: {exc.strerror}") from exc
        except (OtherRunError, StoreError):
            os.close(fd)
            raise
        return cls(directory, fd, *locks)

    def let_in(self) -> None:
        """Let the next part open its run."""
        if self._door is not None:
            os.close(self._door)
            self._door = None

    def close(self) -> None:
        self.let_in()
        for fd in reversed(self.held):
            os.close(fd)  # gives the lock back


def _take_part(directory: Path, fd: int, shard: Shard) -> tuple[int, int]:
    """Go through the door and take a part's lock; returns the lock and the door. Raises OtherRunError."""
    opened = []
    try:
        opened.append(door := _open_lock(WHOLE, fd))
        fcntl.flock(door, fcntl.LOCK_EX)  # an opening takes a moment; where records change hands, minutes
        opened.insert(0, lock := _open_lock(shard, fd))
        _hold(lock, f"another run holds part {shard} of {directory}; wait for it, or stop it first")
        for other in Shard.among(os.listdir(fd), LOCK):
            if not other.is_part or other.count == shard.count:
                continue
            opened.append(theirs := _open_lock(other, fd))
            at_one_time = f"parts that run at one time are of one number, and you gave {shard}"
            _hold(theirs, f"another run holds part {other} of {directory}, and {at_one_time}")
            os.close(opened.pop())
    except BaseException:
        for each in opened:
            os.close(each)
        raise
    return lock, door


def _open_lock(shard: Shard, fd: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(shard.file(LOCK), flags, 0o600, dir_fd=fd)


def _hold(fd: int, otherwise: str) -> None:
    try:
        _lock(fd, fcntl.LOCK_EX)
    except BlockingIOError as exc:
        raise OtherRunError(otherwise) from exc


def _lock(fd: int, kind: int) -> None:
    """Take the lock; raises BlockingIOError when another run keeps it for longer than a killed one could."""
    deadline_s = time.monotonic() + LEFT_BEHIND_S
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(LEFT_BEHIND_S / 40)
        else:
            return


def _probe(directory: Path, fd: int) -> None:
    """Fail now rather than at the first record. The file is kept: it hides the output from git."""
    ignore = os.open(".gitignore", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
    try:
        if os.fstat(ignore).st_size == 0:  # a new directory, or one whose first run was killed before this line
            _sync_way(directory)
            os.write(ignore, b"*\n")
    finally:
        os.close(ignore)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StoreError(f"output directory {directory}: no permission to write")


def is_shared(fd: int) -> bool:
    """Whether every user of this computer may put files into an open directory, and replace what is there."""
    mode = os.fstat(fd).st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _sync_way(directory: Path) -> None:
    """Have the folders that lead to *directory* on disk: whatever is synced in it is lost where they are."""
    device = directory.stat().st_dev
    for parent in directory.resolve().parents:
        with suppress(PermissionError):  # then it is not we who made what is in there
            fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if os.fstat(fd).st_dev != device:
                    return
                os.fsync(fd)
            finally:
                os.close(fd)


def _refuse_network(directory: Path, fd: int) -> None:
    kind = file_system(os.fstat(fd).st_dev)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"output directory {directory} is on a network file system ({kind}), on which a ledger is not safe: "
            "put it on a local disk"
        )


def file_system(device: int) -> str | None:
    """The kind of the file system with that st_dev; None where the system does not say (no Linux)."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
            for mount in mounts:  # proc(5): id parent major:minor root point options ... - type source options
                fields, _, tail = mount.partition(" - ")
                if fields.split()[2] == wanted:
                    return tail.split()[0]
    except OSError:
        return None
    return None
