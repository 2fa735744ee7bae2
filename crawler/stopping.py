"""How a run's calls hear that it stops: nothing new goes out, and who is on the wire may be given up.

Knows tasks, and nothing of what they do.
"""

from __future__ import annotations

import asyncio


class Stopping:
    """begun: set when no further call may go out. calls: the tasks on the wire now. given_up: those cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.calls: set[asyncio.Task[object]] = set()
        self.given_up: set[asyncio.Task[object]] = set()

    def begin(self) -> None:
        """Let no further call go out."""
        self.begun.set()

    def give_up_calls(self) -> None:
        """Cancel the calls on the wire; they stay for the next run."""
        for call in self.calls - self.given_up:
            self.given_up.add(call)
            call.cancel()
