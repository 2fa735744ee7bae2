"""How much of a core this process uses, or wants and does not get."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_SCHEDSTAT: Final = Path("/proc/self/schedstat")
"""Linux: nanoseconds that the main thread ran, and that it waited for a core that others used."""


class Cpu:
    """Measures from one call to the next."""

    def __init__(self) -> None:
        self._at_s, self._wanted_s = time.monotonic(), _wanted_s()

    def share(self) -> float:
        """Give the part of a core since the last call: 1.0 is all the interpreter can use."""
        now_s, wanted_s = time.monotonic(), _wanted_s()
        share = (wanted_s - self._wanted_s) / max(now_s - self._at_s, 1e-3)
        self._at_s, self._wanted_s = now_s, wanted_s
        return share


def _wanted_s() -> float:
    """Seconds of CPU that were used, and waited for where the system tells it."""
    waited_s = 0.0
    with suppress(OSError, ValueError, IndexError):
        waited_s = int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    return time.process_time() + waited_s
