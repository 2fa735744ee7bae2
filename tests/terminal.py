"""A terminal whose screen a test can read, and a command that runs in it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

POLL_S: Final = 0.01
END_S: Final = 240.0

LOGIN: Final = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
"""Makes stdin the terminal of a new session, then becomes the command."""


class Terminal:
    """A command with a pseudo-terminal for stdin, stdout and stderr: what Ctrl-C reaches, and who sets a size."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24
    ) -> None:
        self.bytes = b""
        """All that was ever written."""
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self._ours, theirs = pty.openpty()
        self._say_size(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *command], cwd=cwd, env={"TERM": "xterm-256color", **env}, stdin=theirs
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(END_S)
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        """What the screen shows now, without the empty lines at its end."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def scrolled(self) -> str:
        """All lines that have left the screen at its top, and those on it."""
        with self._lock:
            above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join([*(line.rstrip() for line in above), *self.lines])

    def has_cursor(self) -> bool:
        with self._lock:
            return not self.screen.cursor.hidden

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, columns: int, rows: int) -> None:
        with self._lock:
            self.screen.resize(rows, columns)
        self._say_size(columns, rows)

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Return as soon as it is true; AssertionError, with the screen, when it never is."""
        deadline_s = time.monotonic() + END_S
        while not predicate():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"it never came true on this screen:\n{self.text}")
            time.sleep(POLL_S)

    def wait(self) -> int:
        """The exit code, once all that was written is on the screen."""
        code = self.process.wait(END_S)
        self._reader.join(END_S)
        return code

    def _say_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        with suppress(OSError):  # EIO: nobody has the other end any more
            while data := os.read(self._ours, 65536):
                with self._lock:
                    self.bytes += data
                    self._stream.feed(data)
