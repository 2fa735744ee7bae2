"""Parts as jobs of scrapyds: scheduled, followed by their lists of jobs and by the logs, moved when a server is gone.

An Engine. Which server takes a part, and what a log says, is decided in crawler.fleet.nodes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from crawler.accounting import ExitCode
from crawler.fleet.engine import LOST, Look
from crawler.fleet.nodes import End, choose, end_of
from crawler.fleet.server import NoAnswerError, RefusedError
from crawler.fleet.verdicts import COMPLETE, SIGNAL
from crawler.fleet.watched import POLL_S, Watched, orphan
from crawler.meter.progress import last_told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from crawler.fleet.engine import Part
    from crawler.fleet.server import Server, Tail
    from crawler.items import Shard
    from crawler.meter import Progress

ALONE_S: Final = 600.0
"""How long a part whose server is gone waits for it when no other one is there: then it is more likely our network."""

HELD_S: Final = 5.0
"""How often a part is scheduled again while a job of it that we lost may still hold its directory."""

SILENT_S: Final = 120.0
"""A job that its scrapyd has forgotten is dead when its log has not grown for so long: it says how it is every 30 s."""

TOLD_S: Final = 5.0
"""How often a job says in its log how far it is, and how often it is read: half a kilobyte, so 8 MB a day."""

SHOWN_LINES: Final = 5
"""Of the log of a job that went wrong."""


class Scrapyds:
    """The Engine; a context, in which the servers are asked. version: of the project, as `agree` gave it.

    ends: of each part that has ended, where and how.
    """

    def __init__(
        self, servers: Sequence[Server], *, project: str, version: str | None, tell: Callable[[str], None]
    ) -> None:
        self.project = project
        self.tell = tell
        self.ends: dict[Shard, tuple[Server, End]] = {}
        self.lost: set[Shard] = set()
        """Parts of which a job may still run although nobody follows it."""
        self._version = version
        self._watched = [Watched(server, project, tell) for server in servers]
        self._run = secrets.token_hex(4)
        self._jobs = 0
        self._tasks: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        for watched in self._watched:
            self._keep(asyncio.ensure_future(watched.watch()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start(self, part: Part) -> ScrapydJob:
        job = ScrapydJob(self, part)
        job.following = asyncio.ensure_future(job.follow())
        self._keep(job.following)
        return job

    def _keep(self, task: asyncio.Task[None] | asyncio.Task[Look]) -> None:
        self._tasks.add(task)

    def choose(self, shard: Shard) -> Watched | None:
        """The server that takes a part now; None when all are gone."""
        place = choose([watched.node for watched in self._watched], shard)
        return None if place is None else self._watched[place]

    def name(self, part: Part) -> str:
        """A job's name, which no other has: it is that of its log."""
        self._jobs += 1
        return f"fleet-{self._run}-{part.shard.number}-of-{part.shard.count}-{self._jobs}"

    def fields(self, part: Part) -> list[tuple[str, str]]:
        """What schedule.json is told of a part."""
        version = [("_version", self._version)] if self._version else []
        tells = "off" if part.settings.get("APIFETCH_PROGRESS") == "off" else "json"  # its log is all that is served
        told = {**part.settings, "APIFETCH_PROGRESS": tells, "APIFETCH_PROGRESS_S": str(TOLD_S)}
        settings = [("setting", f"{name}={said}") for name, said in told.items()]
        return [*part.arguments.items(), *settings, *version]


class ScrapydJob:
    """A Job. following: the task that sees it to its end."""

    following: asyncio.Task[Look]

    def __init__(self, engine: Scrapyds, part: Part) -> None:
        self._engine = engine
        self._part = part
        self._stops = 0
        self._cancelled = 0
        self._is_held_said = False
        self._progress: Progress | None = None
        self._state: str | None = None
        self._read_s = 0.0

    async def look(self) -> Look:
        if self.following.done():
            return replace(self.following.result(), progress=self._progress)
        return Look(progress=self._progress)

    async def stop(self, *, at_once: bool) -> None:
        self._stops = 2 if at_once else max(self._stops, 1)

    async def follow(self) -> Look:
        """Schedule it, and see it to its end."""
        while True:
            if self._stops:
                return Look(exit_code=ExitCode.STOPPED, stop_reason=SIGNAL)
            watched = self._engine.choose(self._part.shard)
            if watched is None:
                await asyncio.sleep(POLL_S)
                return self._lose()
            watched.node.shards.add(self._part.shard)
            try:
                look = await self._follow_on(watched)
            except RefusedError as exc:
                self._engine.tell(f"{self._part}: {exc}")
                return Look(exit_code=ExitCode.USAGE)
            finally:
                watched.node.shards.discard(self._part.shard)
            if look is None:
                await asyncio.sleep(POLL_S)
            elif look.exit_code == ExitCode.OTHER_RUN and self._part.shard in self._engine.lost:
                if not self._is_held_said:
                    self._is_held_said = True
                    self._engine.tell(f"{self._part}: its former job goes on; it is waited for")
                await asyncio.sleep(HELD_S)
            else:
                return look

    async def _follow_on(self, watched: Watched) -> Look | None:
        """The same on one server; None when it could not be asked to take it."""
        job = self._engine.name(self._part)
        fields = self._engine.fields(self._part)
        try:
            await asyncio.to_thread(watched.server.schedule, self._engine.project, self._part.spider, job, fields)
        except NoAnswerError:
            watched.left[job] = self._part  # it may have heard us
            return None
        self._engine.tell(f"{self._part}: job {job} on {watched.server.shown}")
        since, unknown, alone_s = watched.asked, 0, time.monotonic() + ALONE_S
        while True:
            await watched.news()
            if watched.node.is_gone:
                if self._stops or self._engine.choose(self._part.shard) is not None or time.monotonic() > alone_s:
                    return self._leave(watched, job)
                continue
            alone_s = time.monotonic() + ALONE_S
            if watched.answered <= since:
                continue  # no answer, or one to a question of before it was scheduled
            since = watched.answered
            await self._cancel(watched, job)
            state = watched.jobs.get(job)
            if state == "finished":
                return await self._end(watched, job)
            await self._see(watched, job, state)
            unknown = 0 if state is not None else unknown + 1
            if unknown > 1:  # once, between the queue and its start
                if self._stops:
                    return await self._end(watched, job)
                return await self._follow_orphan(watched, job)

    async def _see(self, watched: Watched, job: str, state: str | None) -> None:
        """Say whether it waits, and learn from its log now and then how far it is."""
        before, self._state = self._state, state
        if state == "pending" != before:
            self._engine.tell(f"{self._part}: it waits for its turn on {watched.server.shown}")
        elif state == "running" and before == "pending":
            self._engine.tell(f"{self._part}: it has begun on {watched.server.shown}")
        if state == "running" and time.monotonic() >= self._read_s:
            self._read_s = time.monotonic() + TOLD_S
            with suppress(NoAnswerError, RefusedError):  # which the questions for its jobs, and its end, find out
                await self._tail(watched, job)

    async def _cancel(self, watched: Watched, job: str) -> None:
        if self._cancelled >= self._stops:
            return
        stops = self._stops
        try:
            was_there = await asyncio.to_thread(watched.server.cancel, self._engine.project, job, at_once=stops > 1)
        except NoAnswerError:
            return
        if was_there:
            self._cancelled = stops

    async def _follow_orphan(self, watched: Watched, job: str) -> Look:
        """Follow a job that scrapyd has forgotten, since it was restarted: the process goes on, and its log tells."""
        self._engine.tell(f"{self._part}: {watched.server.shown} knows no job {job} any more; its log is followed")
        tail, size, silent_s = None, -1, time.monotonic() + SILENT_S
        while not self._stops:
            with suppress(NoAnswerError):
                tail = await self._tail(watched, job)
            if tail is not None and end_of(tail.text) is not None:
                return await self._end(watched, job)
            if tail is not None and tail.size != size:
                size, silent_s = tail.size, time.monotonic() + SILENT_S
            if time.monotonic() > silent_s or watched.node.is_gone:
                return self._leave(watched, job)
            await asyncio.sleep(POLL_S)
        self._engine.tell(f"{self._part}: {orphan(watched.server, job)}")
        return self._lose()

    async def _end(self, watched: Watched, job: str) -> Look:
        while True:
            try:
                tail = await self._tail(watched, job)
                break
            except NoAnswerError:
                if watched.node.is_gone:
                    return self._leave(watched, job)
                await asyncio.sleep(POLL_S)
        end = end_of(tail.text) if tail is not None else None
        if end is None:
            if self._stops:
                return Look(exit_code=ExitCode.STOPPED, stop_reason=SIGNAL)
            lines = tail.text.splitlines()[-SHOWN_LINES:] if tail is not None else ["it has no log"]
            self._engine.tell(f"{self._part}: job {job} ended without an exit code: " + "\n".join(lines))
            return Look(exit_code=LOST)
        if end.exit_code not in COMPLETE and end.exit_code not in {ExitCode.STOPPED, ExitCode.OTHER_RUN}:
            assert tail is not None
            self._engine.tell(f"{self._part}: the log of job {job} ends:")
            for line in tail.text.splitlines()[-SHOWN_LINES:]:
                self._engine.tell(line)
        self._engine.ends[self._part.shard] = (watched.server, end)
        if end.exit_code != ExitCode.OTHER_RUN:
            self._engine.tell(f"{self._part}: ended on {watched.server.shown} with exit code {end.exit_code}")
        return Look(exit_code=end.exit_code, stop_reason=end.stop_reason)

    async def _tail(self, watched: Watched, job: str) -> Tail | None:
        tail = await asyncio.to_thread(watched.server.tail, self._engine.project, self._part.spider, job)
        if tail is not None:
            self._progress = last_told(tail.text) or self._progress
        return tail

    def _leave(self, watched: Watched, job: str) -> Look:
        """Give up a job whose server is gone."""
        watched.left[job] = self._part
        if self._stops:
            self._engine.tell(f"{self._part}: {watched.server.shown} does not answer; job {job} may go on there")
        else:
            self._engine.tell(
                f"{self._part} was on {watched.server.shown}: another job takes it, which repeats what was done there "
                f"unless it finds it in {self._part.where}"
            )
        return self._lose()

    def _lose(self) -> Look:
        self._engine.lost.add(self._part.shard)
        return Look(exit_code=LOST)
