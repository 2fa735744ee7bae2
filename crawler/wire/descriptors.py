"""Open files: each connection is one, and systems allow 1,024, or 256, unless they are asked for more.

Owns: asking. It changes this process alone, and no more than its owner may.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

logger = logging.getLogger("apifetch")

OTHERS: Final = 128
"""Open files that are no connections: the ledger, the writer's, logs, the list, name look-ups, two for each loop."""


def allow_connections(connections: int) -> None:
    """Have room for so many connections at once, or say that there is not."""
    needed = connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    except (OSError, ValueError):  # macOS allows fewer than it says
        granted = soft
    if granted < needed:
        logger.warning(
            "the system allows %d open files, which is enough for %d connections at once: raise it (ulimit -n)",
            granted,
            max(granted - OTHERS, 1),
        )
