"""What the system allows this process: open files, and for how many workers that is enough; no core file.

Knows no framework.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

OWN: Final = 34
"""Descriptors of a run without a worker: 28 counted (log, ledger, event loop, the writer's socket), and a few for
files that are open for a moment."""

EACH: Final = 2
"""Descriptors of a worker: its connection and, while that is made, a second one, to the other kind of address or for
the name."""


def workers_that_fit(workers: int) -> int:
    """*workers*, or as many as the limit on open files allows, at least 1. Raises the soft limit as far as needed."""
    return max(1, min(workers, (_allow(OWN + EACH * workers) - OWN) // EACH))


def leave_no_core() -> None:
    """Have no core file written when this process, or one that it starts, crashes: it would hold every key."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _allow(wanted: int) -> int:
    """Have so many files allowed, if the hard limit lets us; how many are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # macOS has a further limit, which it does not tell
        return soft
    return most
