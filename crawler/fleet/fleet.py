"""Parts under way: started, looked at, started again when they die, and stopped together.

Owns the order of things. How a part is run is its Engine's, what its end means crawler.fleet.verdicts'.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from crawler.accounting import ExitCode
from crawler.fleet.engine import Look
from crawler.fleet.verdicts import Verdict, judge, reason, wait_s, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.fleet.engine import Engine, Job, Part

LOOK_S: Final = 0.25
"""How often parts are looked at: as often as a bar changes."""


@dataclass(slots=True)
class _Member:
    """job: None until it is started, at *start_s*. exit_code: None until it is over.

    deaths: in a row, without a record between them. done: records it had at the last of them.
    """

    part: Part
    job: Job | None = None
    start_s: float = 0.0
    seen: Look = field(default_factory=Look)
    exit_code: int | None = None
    deaths: int = 0
    done: int = 0


class Show(Protocol):
    """Who watches."""

    def show(self, looks: Sequence[Look], *, is_stopping: bool) -> None: ...

    def stop(self) -> None:
        """All parts have ended, or an error ends the fleet."""


class Fleet:
    """Parts, and the engine that runs them. tell: says a line to whoever watches. show: gets what each look saw."""

    def __init__(
        self,
        parts: Sequence[Part],
        engine: Engine,
        *,
        tell: Callable[[str], None],
        show: Show | None = None,
    ) -> None:
        self._members = [_Member(part) for part in parts]
        self._engine = engine
        self._tell, self._show = tell, show
        self._stops = 0
        self._stopped = 0
        self.restarts = 0

    @property
    def is_stopping(self) -> bool:
        return self._stops > 0

    @property
    def exit_codes(self) -> list[int]:
        """How they ended, of those that have."""
        return [member.exit_code for member in self._members if member.exit_code is not None]

    def stop(self) -> None:
        """Have all parts end in good order; a second time, at once. May be called by a signal's handler."""
        self._stops += 1

    async def run(self) -> int:
        """Run all parts to their ends; returns the worst of their exit codes. Raises what Engine.start raises."""
        try:
            while True:
                await self._stop_if_asked()
                for member in self._members:
                    await self._step(member)
                if self._show is not None:
                    self._show.show([member.seen for member in self._members], is_stopping=self.is_stopping)
                if all(member.exit_code is not None for member in self._members):
                    return worst(self.exit_codes)
                await asyncio.sleep(LOOK_S)
        finally:
            if self._show is not None:
                self._show.stop()
            for member in self._members:  # of an error: nobody would look after them
                if member.job is not None and member.exit_code is None:
                    await member.job.stop(at_once=False)

    async def _step(self, member: _Member) -> None:
        if member.exit_code is not None:
            return
        if member.job is None:
            if self.is_stopping:
                member.exit_code = ExitCode.STOPPED
            elif time.monotonic() >= member.start_s:
                member.job = await self._engine.start(member.part)
            return
        seen = member.seen = await member.job.look()
        if seen.exit_code is not None:
            self._end(member, seen.exit_code, seen.stop_reason)

    def _end(self, member: _Member, exit_code: int, stop_reason: str | None) -> None:
        done = member.seen.progress.done if member.seen.progress is not None else 0
        member.deaths = member.deaths + 1 if done <= member.done else 1
        member.done = max(done, member.done)
        verdict = Verdict.END if self.is_stopping else judge(exit_code, stop_reason, deaths=member.deaths)
        if verdict is Verdict.AGAIN:
            member.job, member.start_s = None, time.monotonic() + wait_s(member.deaths)
            self.restarts += 1
            self._tell(f"{member.part} {reason(exit_code)}; it is started again")
            return
        member.exit_code = exit_code
        if verdict is Verdict.STOP_ALL:
            self._tell(f"{member.part} {reason(exit_code)}, as the others would: all stop")
            self.stop()
        elif exit_code < 0 and not self.is_stopping:
            self._tell(f"{member.part} {reason(exit_code)}, {member.deaths} times in a row: it is left")

    async def _stop_if_asked(self) -> None:
        while self._stopped < min(self._stops, 2):
            self._stopped += 1
            for member in self._members:
                if member.job is not None and member.exit_code is None:
                    await member.job.stop(at_once=self._stopped > 1)
