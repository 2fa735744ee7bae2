"""What all runs of one user on this machine know of a host: a small file for each, which one of them changes at a time.

Owns: where the files are, whose they may be, and the lock (flock: a process that is killed leaves none). What stands in
them is pacing's. Where there is no place for them, each run is on its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from crawler.pacing import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("apifetch")

MOST_BYTES: Final = 1 << 20
"""Of a file that is read: 256 groups for each of a few windows are some 30 kB."""

TRIES: Final = 500
BUSY_S: Final = 0.002
"""A second for what takes others a tenth of a millisecond; then each has its own."""


def boot_id() -> str | None:
    """Changes with every boot, so that a killed run can be told from a power cut; None where there is none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else None


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """Give where the user's programs keep such things (XDG Base Directory), None where there is no such place."""
    home = environ.get("XDG_STATE_HOME") or (environ.get("HOME") and f"{environ['HOME']}/.local/state")
    return Path(home) / "apifetch" / "hosts" if home and home.startswith("/") else None


def shared(environ: Mapping[str, str], *, level: int = logging.WARNING) -> Shared | None:
    """Give where all runs of the user meet; None where there is no place. level: of the log line that says so."""
    board = Board.open(state_folder(environ), level=level)
    return None if board is None else Shared(board.exchange, board.steady_clock(boot_id()))


class Board:
    """The files of one folder, which is made and must be its user's alone."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._files: dict[str, int] = {}

    @classmethod
    def open(cls, folder: Path | None, *, level: int = logging.WARNING) -> Self | None:
        """Open it; None, and a log line of that level, when it cannot be ours alone."""
        if folder is None:
            return None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as exc:
            logger.log(level, "Limits are for this run alone, not shared with others: %s: %s", folder, exc.strerror)
            return None
        about = os.fstat(fd)
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            os.close(fd)
            logger.log(level, "Limits are for this run alone, not shared with others: others may write in %s", folder)
            return None
        return cls(fd)

    def exchange(self, host: str, change: Callable[[dict[str, Any]], None]) -> bool:
        """Have *change* change what is known of a host, alone. False when another run is at it just now.

        Without a file (a full disk, too many open ones), what is changed is nobody's but ours, and lost.
        """
        fd = self._file(host)
        if fd is None:
            change({})
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            state = _read(fd)
            before = _line(state)
            change(state)
            after = _line(state)
            if after != before:
                with suppress(OSError):
                    os.pwrite(fd, after, 0)
                    os.ftruncate(fd, len(after))
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
        return True

    def steady_clock(self, boot: str | None) -> Callable[[float], float]:
        """Give the seconds since 1970 for a time of the monotonic clock, alike for all: as the first since boot saw it.

        The monotonic clock is one for all processes; the other one may be set, by a day, in the midst of a run.
        """
        found: dict[str, float] = {}

        def agree(state: dict[str, Any]) -> None:
            known = state.get("offset_s")
            if boot is None or state.get("boot") != boot or not isinstance(known, float):
                state.clear()
                state.update(boot=boot, offset_s=time.time() - time.monotonic())
            found["offset_s"] = state["offset_s"]

        for _ in range(TRIES):
            if self.exchange("", agree):
                break
            time.sleep(BUSY_S)
        offset_s = found.get("offset_s", time.time() - time.monotonic())
        return lambda now_s: now_s + offset_s

    def close(self) -> None:
        for fd in (*self._files.values(), self._fd):
            os.close(fd)
        self._files.clear()

    def _file(self, host: str) -> int | None:
        fd = self._files.get(host)
        if fd is None:
            name = hashlib.sha256(host.encode()).hexdigest()[:32] + ".json"
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                fd = os.open(name, flags, 0o600, dir_fd=self._fd)
            except OSError:
                return None
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
                os.close(fd)
                return None
            self._files[host] = fd
        return fd


def _read(fd: int) -> dict[str, Any]:
    """What the first line holds: who was killed while it wrote may have left more."""
    line = os.pread(fd, MOST_BYTES, 0).partition(b"\n")[0]
    try:
        state = json.loads(line)
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _line(state: Mapping[str, Any]) -> bytes:
    return json.dumps(state, separators=(",", ":")).encode() + b"\n"
