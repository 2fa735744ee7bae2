"""A scrapyd that is watched: asked for its jobs again and again in the background, whether it is there or gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ArgumentError
from crawler.fleet.nodes import Node, end_of
from crawler.fleet.server import NoAnswerError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.fleet.engine import Part
    from crawler.fleet.server import Server

POLL_S: Final = 1.0
"""How often each server is asked for its jobs."""


def agree(servers: Sequence[Server], project: str, spider: str, tell: Callable[[str], None]) -> str | None:
    """Give the version that all servers would run; None of a project without eggs.

    A server that does not answer is said, and left out. Raises ArgumentError and RefusedError, and NoAnswerError when
    none answers.
    """
    found: dict[Server, str | None] = {}
    silent: NoAnswerError | None = None
    for server in servers:
        try:
            versions = server.versions(project)
            found[server] = version = versions[-1] if versions else None
            spiders = server.spiders(project, version)
        except NoAnswerError as exc:
            found.pop(server, None)
            silent = exc
            tell(f"{exc}: it is left out until it answers")
            continue
        if spider not in spiders:
            raise ArgumentError("--spider", spider, f"a spider of {project} on {server.shown}: {', '.join(spiders)}")
    if silent is not None and not found:
        raise silent
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{version or 'none'} on {server.shown}" for server, version in found.items())
        expected = f"one version of it on all servers, and there is {shown}; deploy to all: scrapyd-deploy -a"
        raise ArgumentError("--project", project, expected)
    return next(iter(found.values()))


class Watched:
    """A server, and what it said last. jobs: its answer to question number *answered*. asked: questions until now."""

    def __init__(self, server: Server, project: str, tell: Callable[[str], None]) -> None:
        self.server = server
        self.node = Node()
        self.jobs: dict[str, str] = {}
        self.asked = 0
        self.answered = 0
        self.left: dict[str, Part] = {}
        """Jobs that others do now: to be cancelled when the server is there again."""
        self._is_back = False  # since the last time that all jobs that were left were looked at
        self._project = project
        self._tell = tell
        self._news = asyncio.Condition()

    async def watch(self) -> None:
        while True:
            self.asked += 1
            was_gone = self.node.is_gone
            try:
                jobs = await asyncio.to_thread(self.server.jobs, self._project)
            except (NoAnswerError, RefusedError) as exc:
                self.node.misses += 1
                if self.node.is_gone and not was_gone:
                    self._tell(f"{exc}: it is gone")
            else:
                self.node.misses = 0
                if was_gone:
                    self._tell(f"{self.server.shown}: it is there again")
                self._is_back |= was_gone
                await self._cancel_left(jobs)
                self.jobs, self.answered = jobs, self.asked
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(POLL_S)

    async def news(self) -> None:
        """Wait for the end of a question."""
        async with self._news:
            await self._news.wait()

    async def _cancel_left(self, jobs: dict[str, str]) -> None:
        """Cancel what others do now. A scrapyd that was restarted has forgotten what ran: that is said once it is back.

        What it may still hear of, of a question that it did not answer, stays.
        """
        for job, part in list(self.left.items()):
            state = jobs.get(job)
            try:
                if state in {"running", "pending"}:
                    await asyncio.to_thread(self.server.cancel, self._project, job, at_once=False)
                    self._tell(f"{part}: job {job} on {self.server.shown} is cancelled, since another one has its part")
                elif self._is_back and state is None and await asyncio.to_thread(self._goes_on, part, job):
                    self._tell(f"{part}: {orphan(self.server, job)}")
                elif state is None:
                    continue
            except (NoAnswerError, RefusedError):
                return
            del self.left[job]
        self._is_back = False

    def _goes_on(self, part: Part, job: str) -> bool:
        """Whether a job that it does not know has begun, and did not say that it ended."""
        tail = self.server.tail(self._project, part.spider, job)
        return tail is not None and end_of(tail.text) is None


def orphan(server: Server, job: str) -> str:
    """What to say of a job that scrapyd has forgotten: nobody can cancel it."""
    return (
        f"{server.shown} was restarted and knows no job {job} any more: its process may go on, and cannot be "
        "cancelled. SIGTERM to the pid in its summary stops it"
    )
