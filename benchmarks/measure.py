"""Runs a command as a tree of processes of its own, and measures it. Knows nothing of clients.

CPU is what the kernel says of every process of the tree once it has ended: nothing is sampled, nothing is lost. Peaks
of memory are read from /proc while it runs, ten times a second; where there is no /proc, wait4 gives the largest.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.samples import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

PROC: Final = Path("/proc")
LOOK_S: Final = 0.1  # a look takes some 50 us, so it disturbs by less than a thousandth
LIMIT_S: Final = 900.0  # twenty times the slowest client on a slow machine: whoever takes longer hangs
MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
PR_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    """Become the parent of what a client leaves behind, so that it is waited for and counted. On Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measured(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[bytes]) -> Usage:
    """Run a command to its end, that of all processes it started. output: what it prints goes there."""
    began_s = time.perf_counter()
    client = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,  # a group of its own: its processes are known by it, and end with it
    )  # fmt: skip
    peaks = _Peaks(client.pid)
    limit = threading.Timer(LIMIT_S, _end, [client.pid])
    limit.start()
    try:
        _, status, used = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)  # it is gone: Popen must not wait for another
        cpu_s = used.ru_utime + used.ru_stime
        largest_bytes = used.ru_maxrss * MAXRSS_UNIT
        with suppress(ChildProcessError):  # no orphans, or no more
            while True:
                _, _, used = os.wait4(-client.pid, 0)
                cpu_s += used.ru_utime + used.ru_stime
    finally:
        limit.cancel()
        peaks.close()
        _end(client.pid)
    wall_s = time.perf_counter() - began_s
    by_process = list(peaks.by_process.values())
    return Usage(
        cpu_s=cpu_s,
        wall_s=wall_s,
        # ru_maxrss counts in what the child was before exec: us. The kernel's mark for the program itself is exact.
        largest_bytes=max(by_process, default=largest_bytes),
        all_bytes=sum(by_process) or None,
        exit_code=client.returncode,
    )


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, which macOS says so
        os.killpg(group, signal.SIGKILL)


class _Peaks:
    """Looks at a tree of processes until closed. by_process: id -> its peak so far, in bytes."""

    def __init__(self, root: int) -> None:
        self.by_process: dict[int, int] = {}
        self._root = root
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_S):
            for process in _tree(self._root):
                if peak := _peak_bytes(process):
                    self.by_process[process] = peak

    def close(self) -> None:
        self._closed.set()
        self._thread.join()


def _tree(root: int) -> Iterator[int]:
    """A process and those that it and its descendants started from their main threads."""
    yield root
    with suppress(OSError):  # it has ended, or there is no /proc
        for child in (PROC / str(root) / "task" / str(root) / "children").read_text().split():
            yield from _tree(int(child))


def _peak_bytes(process: int) -> int | None:
    with suppress(OSError):
        for line in (PROC / str(process) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def cpu_s_of(process: int) -> float | None:
    """CPU that a running process has used so far; None where there is no /proc."""
    try:
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S  # utime and stime, proc(5)
