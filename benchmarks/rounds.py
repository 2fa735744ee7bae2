"""The order of work: round by round, client by client, the list of one URL and then the whole list.

Clients take turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.clients import ROOT, Task
from benchmarks.measure import measured
from benchmarks.samples import Failure, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.cases import Case
    from benchmarks.clients import Client
    from benchmarks.samples import Usage
    from benchmarks.servers import Server

PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""All that a client gets of our environment: no proxies, no credentials, nobody's configuration."""

ROOM_A_CALL: Final = 30_000
"""Bytes that a body and what is kept about it may take, rounded up to pages, with a margin."""


class TurnError(Exception):
    """A client did not do its task; the message says why, in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where bodies go: memory, and disk. peers: the Python of the peers. body: what the server answers."""

    memory: Path
    disk: Path
    peers: str
    body: bytes

    def of(self, case: Case) -> Path:
        return self.disk if case.disk else self.memory


def find_memory(calls: int) -> Path:
    """Give a folder in memory with room for that many bodies; else the system's temporary one."""
    shared = Path("/dev/shm")
    if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > calls * ROOM_A_CALL:
        return shared
    return Path(tempfile.gettempdir())


def turns(case: Case, clients: Sequence[Client], server: Server, places: Places) -> Iterator[Sample | Failure]:
    """Run every turn of a case. A client that fails has no further turn."""
    failed: set[str] = set()
    for number in range(1, case.rounds + 1):
        for client in clients:
            if client.name in failed:
                continue
            try:
                yield _turn(case, client, server, places, number)
            except TurnError as exc:
                failed.add(client.name)
                yield Failure(case=case.name, client=client.name, round=number, reason=str(exc))


def _turn(case: Case, client: Client, server: Server, places: Places, number: int) -> Sample:
    startup = _run(1, case, client, server, places)
    served = server.watch()
    run = _run(case.calls, case, client, server, places)
    return Sample(
        case=case.name, client=client.name, round=number, startup=startup, run=run, served=served(),
        calls=case.calls, workers=case.workers, latency_ms=case.latency_ms,
    )  # fmt: skip


def _run(calls: int, case: Case, client: Client, server: Server, places: Places) -> Usage:
    """Have a client fetch a list of its own making. Raises TurnError."""
    with scratch(places.of(case)) as folder:
        urls, out, printed = folder / "urls.txt", folder / "out", folder / "printed.txt"
        urls.write_text("".join(f"{server.origin}/items/{call}\n" for call in range(1, calls + 1)), "utf-8")
        out.mkdir()
        if case.disk:
            os.sync()  # what was written before us is not ours to wait for
        task = Task(urls=urls, out=out, workers=case.workers, ca=server.ca, peers=places.peers)
        with printed.open("wb") as output:
            usage = measured(client.command(task), cwd=client.folder or folder, env=_environment(), output=output)
        if usage.exit_code:
            raise TurnError(f"exit code {usage.exit_code}: {_last_line(printed)}")
        if missing := client.missing(task, places.body):
            raise TurnError(missing)
        return usage


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new folder, gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as folder:
        yield Path(folder)


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, "PYTHONPATH": str(ROOT)}  # the peers are programs of this folder


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
