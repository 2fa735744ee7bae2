"""Who fetches a list in the proofs: the real command, and what people use instead, each in a folder of its own.

Owns: how each is run, and what it has saved by then, told from the files alone. What the server saw is the proof's.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.clients import CLIENTS, PEERS, ROOT, UNCHECKED, Task
from tests.harness import Crawl, strict_environment
from tests.scripted import BODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.clients import Client

OURS: Final = next(client for client in CLIENTS if client.name == "apifetch")
SCRAPY: Final = next(client for client in CLIENTS if client.name == "scrapy")

WORKERS: Final = 20
"""Of the peers: as many as the script of the blogs has; Scrapy as it comes, but for this."""


class Saved(NamedTuple):
    """What a list has become. ok: lines whose body is there, whole. wrong: lines of which something else is."""

    ok: int
    wrong: int
    exit_code: int


Fetch = Callable[[Path, Path, float], Saved]
"""Fetch a list, in a folder, within so many seconds."""


class Contender(NamedTuple):
    """title: as a table names it. is_ours: whether anything is promised of it."""

    title: str
    fetch: Fetch
    is_ours: bool = False


def ours(workers: str, **how: Any) -> Contender:
    """The real command, with its own defaults. workers, how: its arguments."""

    def fetch(items: Path, folder: Path, within_s: float) -> Saved:
        result = Crawl(folder)(items, workers=workers, timeout_s=within_s, **how)
        return _saved(OURS, items, result.out, result.returncode)

    return Contender(f"apifetch, workers={workers}", fetch, is_ours=True)


def peers() -> Sequence[Contender]:
    """The script of many blogs, and Scrapy as it comes."""
    return [_peer(UNCHECKED, "the script, 20 threads"), _peer(SCRAPY, "Scrapy as it comes, 20 at once")]


def _peer(client: Client, title: str) -> Contender:
    def fetch(items: Path, folder: Path, within_s: float) -> Saved:
        out = folder / "out"
        out.mkdir()
        task = Task(urls=items, out=out, workers=WORKERS, ca=None, peers=python_of_peers())
        environment = strict_environment(folder / ".home")
        environment["PYTHONPATH"] = str(ROOT)  # the peers are programs of this folder
        with (folder / "printed.txt").open("wb") as printed:
            done = subprocess.run(
                client.command(task), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=printed,
                stderr=subprocess.STDOUT, check=False, timeout=within_s,
            )  # fmt: skip
        return _saved(client, items, out, done.returncode)

    return Contender(title, fetch)


def python_of_peers() -> str:
    """Give the Python that `make bench` has made for them; else this one, which may do without requests."""
    return str(PEERS) if PEERS.exists() else sys.executable


def _saved(client: Client, items: Path, out: Path, exit_code: int) -> Saved:
    there = [out / client.place(str(uuid.uuid5(uuid.NAMESPACE_URL, url))) for url in items.read_text("utf-8").split()]
    held = [path.read_bytes() for path in there if path.exists()]
    ok = sum(client.whole(body, BODY) for body in held)
    return Saved(ok, len(held) - ok, exit_code)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as docs/ has them."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
