"""Parts as child processes of this one: the ordinary command, each in a session of its own, that end when we do."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, Any, Final

from crawler.fleet.engine import Look
from crawler.library.child import crawl_command, crawl_environment, progress_pipe
from crawler.meter.progress import from_json
from crawler.store.exports import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.fleet.engine import Part
    from crawler.meter import Progress

HOLDER: Final = "crawler.fleet.held"

_LEVEL: Final = re.compile(r"\] (DEBUG|INFO|WARNING|ERROR|CRITICAL): ")
_FOR_THE_LOG: Final = frozenset({"DEBUG", "INFO"})
_SAID_AT_MOST: Final = 10_000


class Processes:
    """An Engine. tell: says a line of a part's log to whoever watches; the rest stands in its run.log."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._said: set[str] = set()

    async def start(self, part: Part) -> Process:
        # A part's own log says how it goes. What is not logged by a part comes here, where a bar or a line says it.
        shows = "lines" if part.shard.is_part and part.settings.get("APIFETCH_PROGRESS") != "off" else "off"
        command = crawl_command(part.arguments, {**part.settings, "APIFETCH_PROGRESS": shows}, spider=part.spider)
        held = [*command[:2], HOLDER, *command[2:]]  # python -m HOLDER scrapy crawl ...
        environment = crawl_environment()
        with progress_pipe(environment) as (told, tells):
            process = await asyncio.create_subprocess_exec(
                *held, env=environment, pass_fds=(tells,), stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C comes to us, and is passed on once
            )  # fmt: skip
        return Process(part, process, told, self._hear)

    def _hear(self, part: Part, line: str, level: str | None) -> None:
        """Say what matters of a part, once however many parts say the same, and all that is said of the whole."""
        if not part.shard.is_part:
            self._tell(line)
        elif level not in _FOR_THE_LOG:
            text = _LEVEL.split(line)[-1]
            if text not in self._said and len(self._said) < _SAID_AT_MOST:
                self._said.add(text)
                self._tell(f"{part}: {line}")


class Process:
    """A Job. told: the pipe on which it says how far it is."""

    def __init__(
        self, part: Part, process: asyncio.subprocess.Process, told: int, hear: Callable[[Part, str, str | None], None]
    ) -> None:
        self._part = part
        self._process = process
        self._hear = hear
        self._progress: Progress | None = None
        self._listening = asyncio.gather(self._listen(), self._pass_on(), self._follow(FileIO(told)))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def look(self) -> Look:
        if self._process.returncode is None or not self._listening.done():
            return Look(progress=self._progress)
        return Look(exit_code=self._process.returncode, stop_reason=self._stop_reason(), progress=self._progress)

    async def stop(self, *, at_once: bool) -> None:
        with suppress(ProcessLookupError):
            if at_once:
                self._process.kill()
            else:
                self._process.terminate()

    async def _pass_on(self) -> None:
        """What it prints (`echo=status`), in whole lines, since others print too."""
        assert self._process.stdout is not None
        begun = b""
        while chunk := await self._process.stdout.read(1 << 16):
            whole, newline, begun = (begun + chunk).rpartition(b"\n")
            sys.stdout.write((whole + newline).decode(errors="replace"))
            sys.stdout.flush()
        sys.stdout.write(begun.decode(errors="replace"))

    async def _listen(self) -> None:
        """Hear what it logs, to its end. A line without a level belongs to the one before it."""
        assert self._process.stderr is not None
        begun, level = b"", None
        while chunk := await self._process.stderr.read(1 << 16):
            *lines, begun = (begun + chunk).split(b"\n")
            for line in (raw.decode(errors="replace") for raw in lines):
                if found := _LEVEL.search(line):
                    level = found[1]
                self._hear(self._part, line, level)
        if begun:
            self._hear(self._part, begun.decode(errors="replace"), level)

    async def _follow(self, told: FileIO) -> None:
        """How far it says that it is, to its end."""
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), told)
        async for line in lines:
            self._progress = from_json(line)

    def _stop_reason(self) -> str | None:
        """What its summary says; None where it was ended before it could say so, or was not begun."""
        try:
            summary: Any = json.loads((self._part.out / self._part.shard.file(SUMMARY)).read_bytes())
        except (OSError, ValueError):
            return None
        is_own = isinstance(summary, dict) and summary.get("pid") == self.pid
        return summary.get("stop_reason") if is_own else None


def tell(line: str) -> None:
    """Say it on the standard error output."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
