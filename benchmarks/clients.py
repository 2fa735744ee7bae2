"""The clients, as data: how each is started, and what must be in its folder afterwards."""

from __future__ import annotations

import shutil
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.peers.curl_parallel import MOST

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parent.parent
"""The project."""

PEERS: Final = ROOT / ".venv-bench" / "bin" / "python"
"""The Python that has what the peers need, after `make bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a client is to do. out: a folder that is there, and empty. peers: the Python of the peers."""

    urls: Path
    out: Path
    workers: int
    ca: Path | None
    peers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client. folder: where it is started, None for the task's own. needs: a program it cannot do without.

    most: calls at once that it is able to. place: the file of a name, in its folder. whole: whether what a file holds
    is that body, whole.
    """

    name: str
    title: str
    command: Callable[[Task], list[str]]
    folder: Path | None = None
    needs: str = ""
    most: int = sys.maxsize
    place: Callable[[str], str] = "{}.json".format
    whole: Callable[[bytes, bytes], bool] = bytes.__eq__

    @property
    def here(self) -> bool:
        return not self.needs or shutil.which(self.needs) is not None

    def missing(self, task: Task, body: bytes) -> str:
        """Say what is wrong with the folder; nothing when each URL has its file with the whole body."""
        urls = task.urls.read_text("utf-8").split()
        for url in urls:
            path = task.out / self.place(str(uuid.uuid5(uuid.NAMESPACE_URL, url)))
            if not path.exists():
                return f"there is no file of {url}"
            if not self.whole(path.read_bytes(), body):
                return f"the file of {url} does not hold the body"
        return ""


def _apifetch(task: Task) -> list[str]:
    command = [sys.executable, "-m", "scrapy", "crawl", "apifetch"]
    command += ["-a", f"urls={task.urls}", "-a", f"out={task.out}", "-a", f"workers={task.workers}"]
    return command + (["-s", f"APIFETCH_CA_FILE={task.ca}"] if task.ca else [])


def _scrapy(task: Task) -> list[str]:
    spider = ROOT / "benchmarks" / "peers" / "scrapy_plain.py"
    command = [task.peers, "-m", "scrapy", "runspider", str(spider), "-a", f"urls={task.urls}", "-a", f"out={task.out}"]
    settings = {
        "CONCURRENT_REQUESTS": task.workers,
        "CONCURRENT_REQUESTS_PER_DOMAIN": task.workers,
        "LOG_LEVEL": "INFO",  # default DEBUG writes two lines a call
    }
    return command + [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]


def _peer(module: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        trust = [str(task.ca)] if task.ca else []
        return [
            task.peers, "-m", f"benchmarks.peers.{module}",
            str(task.urls), str(task.out), str(task.workers), *trust,
        ]  # fmt: skip

    return command


CLIENTS: Final = (
    Client(
        name="apifetch", title="**this project**", command=_apifetch,
        folder=ROOT,  # where scrapy.cfg names its settings
        place=lambda name: f"responses/{name[:2]}/{name}.json",
        whole=lambda held, body: held.endswith(b'"body":' + body + b"}\n"),  # the envelope ends with it
    ),
    Client(name="scrapy", title="Scrapy as it comes", command=_scrapy),
    Client(name="requests", title="`requests.get`, thread pool", command=_peer("requests_calls")),
    Client(name="requests-session", title="the same, one `Session`", command=_peer("requests_session")),
    Client(name="httpx", title="httpx, asyncio", command=_peer("httpx_async")),
    Client(name="aiohttp", title="aiohttp, asyncio", command=_peer("aiohttp_asyncio")),
    Client(name="aiohttp-uvloop", title="aiohttp, uvloop", command=_peer("aiohttp_uvloop")),
    Client(name="pycurl", title="pycurl multi, bare loop", command=_peer("pycurl_multi")),
    Client(name="curl", title="`curl --parallel`", command=_peer("curl_parallel"), needs="curl", most=MOST),
)  # fmt: skip

UNCHECKED: Final = Client(
    name="requests-unchecked", title="the script of many blogs", command=_peer("requests_unchecked")
)
"""Not one of those: an error page that is saved counts for it as if it were data."""
