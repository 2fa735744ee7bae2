"""The output directory as a place: made, probed, and held by one run at a time.

Owns the lock (the system's own, on the directory itself: a killed run leaves none) and the refusal of
file systems on which neither the lock nor SQLite's WAL is safe. Knows nothing of what is stored.
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

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)

LEFT_BEHIND_S: Final = 2.0
"""How long we wait for the lock: the writer of a run that was killed ends with its last batch."""


class Place:
    """An output directory held by this process until `close`. fd: the open directory."""

    def __init__(self, directory: Path, fd: int) -> None:
        self.directory = directory
        self.fd = fd

    @classmethod
    def take(cls, directory: Path) -> Self:
        """Make *directory* if need be and hold it.

        Raises OtherRunError when another run holds it, in which case nothing in it is changed, and
        StoreError when it cannot be made or written, or lies on a network file system.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise StoreError(f"output directory {directory}: {exc.strerror}") from exc
        try:
            _lock(fd)
            _refuse_network(directory, fd)
            _probe(directory, fd)
        except BlockingIOError as exc:
            os.close(fd)
            raise OtherRunError(f"another run holds {directory}; wait for it, or stop it first") from exc
        except OSError as exc:
            os.close(fd)
            raise StoreError(f"output directory {directory}: {exc.strerror}") from exc
        except StoreError:
            os.close(fd)
            raise
        return cls(directory, fd)

    def close(self) -> None:
        os.close(self.fd)  # gives the lock back


def _lock(fd: int) -> None:
    """Take the lock; raises BlockingIOError when another run keeps it for longer than a killed one could."""
    deadline_s = time.monotonic() + LEFT_BEHIND_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
