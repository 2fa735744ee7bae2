"""Waking Scrapy's engine: what waits in a scheduler may go now, though no request was added.

Owns one private name, the engine's slot. The public ways say more than is meant: to crawl a request again tells
whoever listens that it was scheduled twice.
"""

from __future__ import annotations

from typing import Any


def wake(engine: Any) -> None:
    """Have *engine* ask its scheduler soon. Nothing happens before it has opened its spider and after it closed it."""
    slot = engine._slot  # noqa: SLF001  # the one private name
    if slot is not None:
        slot.nextcall.schedule()
