"""`fetch`: a crawl called from Python, as often as wanted in one session, notebooks included."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.accounting import ExitCode
from crawler.exceptions import ArgumentError, CrawlError
from crawler.library.child import as_text, crawl_command, crawl_environment, progress_pipe
from crawler.library.listening import Listening, bar_for_people
from crawler.library.results import Results, results
from crawler.plan import output_directory
from crawler.store.exports import SUMMARY
from crawler.store.objects.address import is_object_store, local_name
from crawler.values import SHARD, find_shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crawler.meter import Bar

LIST: Final = "list.jsonl"
"""The list in the output directory, where it was given as objects: it is what a later call goes on with."""

_TOLD_BY_FILE: Final = ("headers", "params")
"""Arguments that may hold keys, and that the command reads from a file: a command line is for all to see."""

_NO_RESULT: Final = frozenset({ExitCode.BUG, ExitCode.USAGE, ExitCode.DISK, ExitCode.OTHER_RUN})


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a crawl ended. out: its directory. summary: what summary.json holds (docs/output.md)."""

    out: Path
    exit_code: int
    summary: Mapping[str, Any]

    @property
    def ok(self) -> int:
        return int(self.summary["equation"]["ok"])

    @property
    def failed(self) -> int:
        return int(self.summary["equation"]["failed"])

    @property
    def left(self) -> int | None:
        """Lines that have no record yet; None when the list was not read to its end."""
        left = self.summary["equation"]["left"]
        return left if isinstance(left, int) else None

    def results(self) -> Results:
        return results(self.out)


def fetch(
    urls: str | os.PathLike[str] | Iterable[str | Mapping[str, Any]],
    *,
    out: str | os.PathLike[str] | None = None,
    spider: str = "apifetch",
    settings: Mapping[str, object] | None = None,
    quiet: bool = False,
    progress: bool | None = None,
    **arguments: object,
) -> Fetched:
    """Fetch a list of API calls; what `scrapy crawl apifetch -a urls=... -a out=...` does.

    urls: the path of a list; or the calls: URLs, or objects as the lines of a jsonl list are (docs/lists.md).
    out: the output directory, needed for calls that are no file. arguments: those of the command, as Python values
    (docs/arguments.md). settings: as `-s`. quiet: whether to keep the log off sys.stderr.
    progress: whether to show a bar, on a terminal or below a notebook's cell; None: unless quiet.

    Again with the same out, it goes on where it ended. Raises CrawlError, with the command's own message, when
    there is no result: a wrong argument, a directory that is held, a disk that refuses. Lines that failed are no
    error: they are counted. Ctrl-C stops the crawl in good order, then raises KeyboardInterrupt.
    """
    directory = _directory(urls, out, settings or {})
    url = out if isinstance(out, str) and is_object_store(out) else None
    with ExitStack() as opened:
        path = urls if isinstance(urls, str | os.PathLike) else _write_list(urls, directory)
        told = {name: opened.enter_context(_told(name, value)) for name, value in arguments.items()}
        told |= {"urls": path, "out": str(directory).replace("%", "%%") if url is None else url}
        bar = bar_for_people(progress, quiet=quiet)
        shows = {} if bar is None else {"APIFETCH_PROGRESS": "off"}  # it would say in its log what the bar does
        code, last = _crawl(crawl_command(told, {**(settings or {}), **shows}, spider=spider), bar=bar, quiet=quiet)
    if code < 0 or code in _NO_RESULT:
        raise CrawlError(code, _message(last) or f"the crawl ended with exit code {code}")
    summary = directory / _summary(told.get("shard"))
    if not summary.exists():  # it was stopped before it had begun
        raise CrawlError(code, _message(last))
    return Fetched(directory, code, json.loads(summary.read_bytes()))


def _summary(shard: object) -> str:
    """What the summary of that part is called, after a crawl that has read the same and found nothing wrong."""
    return SUMMARY if shard is None else find_shard(SHARD.parse(shard), os.environ).file(SUMMARY)


def _directory(urls: object, out: str | os.PathLike[str] | None, settings: Mapping[str, object]) -> Path:
    local = str(settings.get("APIFETCH_LOCAL", "out"))
    if isinstance(urls, str | os.PathLike):
        return output_directory(os.fspath(urls), "out/%(name)s" if out is None else os.fspath(out), local)
    if out is None:
        raise ArgumentError("out", None, "a directory, since calls that are no file have no name")
    return Path(local) / local_name(out) if isinstance(out, str) and is_object_store(out) else Path(out)


def _write_list(calls: Iterable[str | Mapping[str, Any]], directory: Path) -> Path:
    """Write calls as a list; one that says the same as before stays untouched, so that it is known by its lines."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / LIST
    partial = path.with_name(f".{LIST}.tmp")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        for call in calls:
            line = {"url": call} if isinstance(call, str) else dict(call)
            file.write(json.dumps(line) + "\n")
    if path.exists() and filecmp.cmp(partial, path, shallow=False):
        partial.unlink()
    else:
        partial.replace(path)
    return path


class _told:  # noqa: N801  # a context, used like a function
    """A value as the command takes it, by a file of the owner's only where it may hold keys."""

    def __init__(self, name: str, value: object) -> None:
        self._value = value
        self._path: Path | None = None
        if name in _TOLD_BY_FILE and value is not None and not str(value).startswith("@"):
            fd, path = tempfile.mkstemp(prefix="apifetch-", suffix=".json")
            with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123  # of a descriptor
                file.write(as_text(value))
            self._path = Path(path)

    def __enter__(self) -> object:
        return self._value if self._path is None else f"@{self._path}"

    def __exit__(self, *_error: object) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _crawl(command: list[str], *, bar: Bar | None, quiet: bool) -> tuple[int, list[str]]:
    """Run it. Returns its exit code, and the last lines it said."""
    environment = crawl_environment()
    with progress_pipe(environment) if bar is not None else nullcontext((None, None)) as (told, tells):
        process = subprocess.Popen(
            command, env=environment, pass_fds=() if tells is None else (tells,), bufsize=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us, and is passed on once
        )  # fmt: skip
    assert process.stdout is not None
    listening = Listening(process.stdout.fileno(), told, bar=bar, quiet=quiet)
    try:
        with process:
            _listen(listening, process)
            return process.wait(), list(listening.last)
    finally:
        listening.close()
        if told is not None:
            os.close(told)
        if bar is not None:
            bar.stop()


def _listen(listening: Listening, process: subprocess.Popen[bytes]) -> None:
    """Pass on what it says, to its end; Ctrl-C stops it in good order, a second one at once."""
    try:
        listening.to_end()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            listening.to_end()
        except KeyboardInterrupt:
            process.kill()
        raise
    except BaseException:
        process.terminate()  # in good order, too; waited for on leaving
        raise


def _message(last: list[str]) -> str:
    """What a command that refused had to say, without the date and its own name."""
    for mark in ("scrapy crawl: ", "[apifetch] ERROR: ", "crawl: error: "):
        said = [line.partition(mark)[2] for line in last if mark in line]
        if said:
            return said[-1]
    return "\n".join(last)
