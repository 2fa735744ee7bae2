"""What end-to-end tests stand on: the demo API as a process, and the real `scrapy crawl` in a scratch folder.

Nothing here is shared between tests or workers: ports are free ones, folders are the test's own, and a
process ends with the test that started it. Knows the output's public face only (docs/output.md).
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from tests.api_server import ApiServer

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Mapping

    from tests.nursery import Child, Nursery

__all__ = ["ApiServer", "Crawl", "CrawlResult", "Output", "Running", "write_list"]

ROOT: Final = Path(__file__).parent.parent
"""The project."""

PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""All that a crawl gets of the tests' own environment: no proxies, no credentials, nobody's home."""

STOCK_HANDLER: Final = {"APIFETCH_HTTP_HANDLER": "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler"}
"""Settings of a crawl on Scrapy's own wire."""

POLL_S: Final = 0.01

PATIENCE_S: Final = 240.0
"""Before what does not come is a failure. Crawls take seconds, and many times that beside other work."""

# -W and PYTHONWARNINGS are read too early to import a class; sitecustomize is the next to be read.
STRICT: Final = """\
import warnings

from scrapy.exceptions import ScrapyDeprecationWarning

warnings.simplefilter("error", ScrapyDeprecationWarning)
"""

Urls = str | Path | Sequence[str] | None
"""A list: what `-a urls=` takes, or its lines."""


def write_list(path: Path, lines: Iterable[str]) -> Path:
    """The lines, UTF-8, each with its newline. Returns the path."""
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


@dataclass(frozen=True, slots=True)
class Output:
    """An output directory, read as any user's program would."""

    out: Path

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.out / "summary.json").read_bytes())
        return summary

    def rows(self, sql: str = "select * from records") -> list[dict[str, Any]]:
        """The rows of a query, each as column -> value. Leaves no file behind, and works beside a run."""
        path = self.out / "ledger.sqlite"
        # Without a WAL file nobody writes; a plain read-only connection would leave one of its own.
        writing = path.with_name(f"{path.name}-wal").exists()
        uri = f"{path.resolve(strict=True).as_uri()}?mode=ro{'' if writing else '&immutable=1'}"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]

    def files(self, folder: str = "responses") -> list[Path]:
        """Every file below responses/ or errors/, sorted by path."""
        return sorted(path for path in (self.out / folder).rglob("*") if path.is_file())

    def envelopes(self, folder: str = "responses") -> list[dict[str, Any]]:
        """The documents in the files of `save=envelope`, sorted by path."""
        return [json.loads(path.read_bytes()) for path in self.files(folder)]

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The documents of failed.jsonl or invalid.jsonl."""
        return [json.loads(line) for line in (self.out / name).read_bytes().splitlines()]


@dataclass(frozen=True, slots=True)
class CrawlResult(Output):
    """A crawl that has ended. returncode: negative when a signal ended it. stderr: Scrapy's log, too."""

    returncode: int
    stdout: str
    stderr: str


class Running:
    """A crawl under way, and the only process that its signals reach."""

    def __init__(self, process: subprocess.Popen[bytes] | Child, *, out: Path, stdout: Path, stderr: Path) -> None:
        self.process = process
        self._out, self._stdout, self._stderr = out, stdout, stderr

    @property
    def output(self) -> Output:
        """The output directory as it is now."""
        return Output(_present(self._out))

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._stdout.read_text("utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What it has logged so far."""
        return self._stderr.read_text("utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close_stdin(self) -> None:
        """End its stdin, where that is a pipe. The crawl may have left with lines unread."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def kill(self) -> CrawlResult:
        """`kill -9`, and what is left."""
        self.process.kill()
        return self.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> CrawlResult:
        """The crawl's end. Kills it and raises AssertionError when it takes longer than that."""
        self.close_stdin()
        try:
            returncode = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no end after {timeout_s} s\n{self.stdout}{self.stderr}") from None
        print(f"exit code {returncode}\n{self.stdout}{self.stderr}")  # pytest shows it when the test fails
        return CrawlResult(_present(self._out), returncode, self.stdout, self.stderr)

    def wait_for(self, predicate: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        """Return as soon as *predicate* is true; what cannot be read yet is not true yet.

        Raises AssertionError when the crawl ends before, or after that time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not _is_true(predicate):
            ended = self.process.poll() is not None
            if ended and _is_true(predicate):  # it came true with the last thing the crawl did
                return
            if ended or time.monotonic() > deadline_s:
                state = f"ended with {self.process.returncode}" if ended else f"went on for {timeout_s} s"
                raise AssertionError(f"the crawl {state} before it came true\n{self.stdout}{self.stderr}")
            time.sleep(POLL_S)


class Crawl:
    """`scrapy crawl` in a folder of the test's own: `crawl(urls=[...], workers=5)`.

    settings: `-s` of every crawl; a call's own go before them. nursery: what starts them sooner.
    """

    def __init__(
        self, cwd: Path, *, settings: Mapping[str, object] | None = None, nursery: Nursery | None = None
    ) -> None:
        self.cwd = cwd
        self._nursery = nursery
        self.settings = dict(settings or {})
        self._own = cwd / ".harness"
        self._started: list[Running] = []

    @overload
    def __call__(
        self, urls: Urls = None, *, wait: Literal[True] = True, timeout_s: float = PATIENCE_S, **how: Any
    ) -> CrawlResult: ...

    @overload
    def __call__(self, urls: Urls = None, *, wait: Literal[False], **how: Any) -> Running: ...

    def __call__(
        self, urls: Urls = None, *, wait: bool = True, timeout_s: float = PATIENCE_S, **how: Any
    ) -> CrawlResult | Running:
        """`start`, and by default wait for the end."""
        running = self.start(urls, **how)
        return running.wait(timeout_s) if wait else running

    def start(
        self,
        urls: Urls = None,
        *,
        spider: str = "apifetch",
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        settings_module: str = "crawler.settings",
        stdin: bytes | int = subprocess.DEVNULL,
        cwd: Path | None = None,
        options: Sequence[str] = (),
        within: Sequence[str] = (),
        **arguments: object,
    ) -> Running:
        """Start a crawl.

        urls: of the list, or its lines, which become items.txt in *cwd* (so out/items); None says nothing.
        settings, arguments: values are texts, or become them: JSON, but commas between the parts of a list;
        None leaves one out. options: further ones, as ["-o", "feed.csv"]. within: a program that runs it. env: added
        to the little that is passed on. stdin: its bytes, or subprocess.PIPE. settings_module: may lie in *cwd*, like
        the modules of spiders that it names.
        """
        cwd = cwd or self.cwd
        if urls is not None and not isinstance(urls, str | Path):
            urls = write_list(cwd / "items.txt", urls)
        words = ["crawl", spider, *_options("-a", {"urls": urls, **arguments})]
        words += [*_options("-s", {**self.settings, **(settings or {})}), *options]
        out = cwd / str(arguments.get("out") or f"out/{Path(str(urls)).name.split('.')[0]}")
        environment = self._environment(cwd, settings_module) | dict(env or {})
        running = self._run(words, within, cwd=cwd, env=environment, stdin=stdin, out=out)
        self._started.append(running)
        return running

    def start_scrapy(self, *words: object, out: str) -> Running:
        """Another command of `scrapy`, started. out: the output directory, relative to the folder."""
        environment = self._environment(self.cwd, "crawler.settings")
        texts = [str(word) for word in words]
        running = self._run(texts, (), cwd=self.cwd, env=environment, stdin=subprocess.DEVNULL, out=self.cwd / out)
        self._started.append(running)
        return running

    def scrapy(self, *words: object, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        """Another command of `scrapy`, to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "scrapy", *map(str, words)], cwd=self.cwd, input=stdin, capture_output=True,
            env=self._environment(self.cwd, "crawler.settings") | env, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        print(done.stderr.decode())  # pytest shows it when the test fails
        return done

    def _environment(self, cwd: Path, settings_module: str) -> dict[str, str]:
        environment = strict_environment(self._own)
        path = os.pathsep.join((environment["PYTHONPATH"], str(cwd), str(ROOT)))
        return environment | {"PYTHONPATH": path, "SCRAPY_SETTINGS_MODULE": settings_module}

    def _run(
        self, words: list[str], within: Sequence[str], *, cwd: Path, env: dict[str, str], stdin: bytes | int, out: Path
    ) -> Running:
        """Files take what it says: a pipe that nobody reads would stop it."""
        number = len(self._started)
        stdout, stderr = self._own / f"{number}.stdout", self._own / f"{number}.stderr"
        given = self._own / f"{number}.stdin"
        given.write_bytes(stdin if isinstance(stdin, bytes) else b"")
        process: subprocess.Popen[bytes] | Child
        with (
            given.open("rb") as stdin_file,
            stdout.open("wb") as stdout_file,
            stderr.open("wb") as stderr_file,
        ):
            what_it_reads = stdin_file if isinstance(stdin, bytes) else stdin
            if self._nursery is not None and not within and "LD_PRELOAD" not in env:  # which a fork does not see
                process = self._nursery.start(
                    words, cwd=cwd, env=env, stdin=what_it_reads, out=stdout_file, err=stderr_file
                )
            else:
                process = subprocess.Popen(
                    [*within, sys.executable, "-m", "scrapy", *words],
                    cwd=cwd,
                    env=env,
                    stdin=what_it_reads,
                    stdout=stdout_file,
                    stderr=stderr_file,
                    start_new_session=True,  # Ctrl-C on the tests is not the crawl's
                )
        return Running(process, out=out, stdout=stdout, stderr=stderr)

    def close(self) -> None:
        """Kill what still runs; a test that failed half-way leaves that, and pipes."""
        for running in self._started:
            running.close_stdin()
            if running.process.poll() is None:
                running.kill()


def strict_environment(own: Path) -> dict[str, str]:
    """The little that is passed on, and what makes an error of a warning. own: a folder that becomes the home."""
    own.mkdir(exist_ok=True)
    (own / "sitecustomize.py").write_text(STRICT)
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "HOME": str(own),  # Scrapy reads ~/.scrapy.cfg
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(own),
    }


def _options(flag: str, values: Mapping[str, object]) -> list[str]:
    pairs = (f"{name}={_text(value)}" for name, value in values.items() if value is not None)
    return [part for pair in pairs for part in (flag, pair)]


def _text(value: object) -> str:
    match value:
        case str() | Path():
            return str(value)
        case list() | tuple():
            return ",".join(map(_text, value))
    return json.dumps(value)


def _present(out: Path) -> Path:
    """*out*, or the only folder beside it: a list may be named after something else than its file."""
    if not out.exists() and out.parent.name == "out":
        folders = [path for path in out.parent.glob("*") if path.is_dir()]
        return folders[0] if len(folders) == 1 else out
    return out


def _is_true(predicate: Callable[[], object]) -> bool:
    try:
        return bool(predicate())
    except (OSError, sqlite3.OperationalError):
        return False
