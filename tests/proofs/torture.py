"""The k-th system call fails, as a disk that is full, broken or forbidden would have it: nothing is lost for it.

    python -m tests.proofs.torture --points 300
    python -m tests.proofs.torture --points 60 --seed 2

The real command, with its engine or its writer's process under strace(1), which makes one call on the output
directory fail, once or from then on. Never exit code 0 with anything missing, a sentence instead of a traceback,
and the same command without the fault ends what is left.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tests.audit import audit
from tests.harness import ApiServer, Crawl, write_list

if TYPE_CHECKING:
    from tests.harness import CrawlResult

Side = Literal["engine", "writer"]

CALLS: Final = (
    "openat", "write", "pwrite64", "pread64", "link", "linkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat",
    "unlink", "unlinkat", "fsync", "fdatasync", "syncfs", "ftruncate", "flock", "statfs",
)  # fmt: skip
ERRORS: Final = ("ENOSPC", "EIO", "EMFILE", "EDQUOT", "EROFS", "EINTR")
LINES: Final = 12
CODES: Final = frozenset({0, 2, 3})
"""Done in spite of it (a call that was made again, or whose failure means nothing), the list unreadable, the disk."""

SETTINGS: Final = """
import os
import sys

from crawler.settings import *

if "TORTURE" in os.environ:
    sys.executable = os.path.abspath("python-under-strace")  # which starts the writer
"""
PYTHON: Final = f"""#!/bin/sh
exec strace -D $TORTURE {sys.executable} "$@"
"""


@dataclass(frozen=True, slots=True)
class Point:
    """Which call fails. number: of that call in that process, from 1. sticky: all later ones fail, too."""

    side: Side
    call: str
    number: int
    error: str
    sticky: bool

    @property
    def options(self) -> list[str]:
        when = f"{self.number}+" if self.sticky else f"{self.number}"
        return ["-o", "/dev/null", f"-einject={self.call}:error={self.error}:when={when}"]


class Rack:
    """Runs the command in a folder of its own, each time anew. origin: of an API."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._folder = folder.resolve()
        self._urls = [api.url(f"/items/{number}") for number in range(LINES - 1)] + [api.url("/missing/1")]
        self._tried = 0

    def crawl(self, side: Side | None, options: list[str], folder: Path) -> CrawlResult:
        crawl = Crawl(folder, settings={"APIFETCH_MIN_FREE_BYTES": 0, "APIFETCH_MIN_FREE_INODES": 0})
        (folder / "torture_settings.py").write_text(SETTINGS)
        (folder / "python-under-strace").write_text(PYTHON)
        (folder / "python-under-strace").chmod(0o700)
        items = write_list(folder / "items.txt", self._urls)
        within = ["strace", "-D", *options] if side == "engine" else []
        env = {"TORTURE": " ".join(options)} if side == "writer" else {}
        try:
            how: dict[str, Any] = {"settings_module": "torture_settings", "within": within, "env": env}
            return crawl.start(items, workers=3, max_failed=1, **how).wait(timeout_s=120)
        finally:
            crawl.close()

    def points(self) -> list[Point]:
        """Every call on the output directory in a run without faults, with every error."""
        found: list[Point] = []
        for side in ("engine", "writer"):
            folder = self._fresh()
            log = folder / "strace"
            result = self.crawl(side, ["-y", "-o", str(log), f"-etrace={','.join(CALLS)}"], folder)
            assert result.returncode == 0, result.stderr
            counts: Counter[str] = Counter()
            for line in log.read_text(errors="replace").splitlines():
                if (called := re.match(r"(\w+)\(", line)) is None:
                    continue
                counts[called[1]] += 1
                if '"out' in line or f"{folder}/out" in line:
                    found += [
                        Point(side, called[1], counts[called[1]], error, sticky)
                        for error in ERRORS
                        for sticky in (False, True)
                        if not sticky or self._may_go_on(side, called[1], error)
                    ]
        return found

    @staticmethod
    def _may_go_on(side: Side, call: str, error: str) -> bool:
        """Whether a fault can be for ever: EINTR means "again", and the engine's writes are its log's, too."""
        return error != "EINTR" and (side, call) != ("engine", "write")

    def try_out(self, point: Point) -> tuple[int, list[str]]:
        """The exit code, and what is wrong with how it went."""
        folder = self._fresh()
        result = self.crawl(point.side, point.options, folder)
        wrong = []
        if result.returncode not in CODES:
            wrong.append(f"exit code {result.returncode}")
        if "Traceback" in result.stderr:
            wrong.append(f"a traceback: {result.stderr[result.stderr.index('Traceback') :][-600:]}")
        if result.returncode == 0:
            wrong += _missing(result, "exit code 0")
        elif not re.search(r"(ERROR|scrapy crawl): .", result.stderr):
            wrong.append(f"no message: {result.stderr[-300:]}")
        again = self.crawl(None, [], folder)
        if again.returncode != 0:
            wrong.append(f"resumed: exit code {again.returncode}: {again.stderr[-500:]}")
        return result.returncode, wrong + _missing(again, "resumed")

    def _fresh(self) -> Path:
        self._tried += 1
        folder = self._folder / str(self._tried)
        folder.mkdir()
        return folder


def _missing(result: CrawlResult, what: str) -> list[str]:
    try:
        audit(result, 0)
    except (AssertionError, OSError) as exc:
        return [f"{what}: {exc!r:.500}"]
    return []


def choose(points: list[Point], count: int, rng: random.Random) -> list[Point]:
    """So many, each kind of call in turn, so that the rare ones are tried as often as the frequent."""
    kinds: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        kinds.setdefault((point.side, point.call), []).append(point)
    for found in kinds.values():
        rng.shuffle(found)
    turns = range(max(map(len, kinds.values())))
    return [found[turn] for turn in turns for found in kinds.values() if turn < len(found)][:count]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    codes: Counter[int] = Counter()
    breaches = 0
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        rack = Rack(api, Path(folder))
        with redirect_stdout(io.StringIO()):
            points = rack.points()
        for point in choose(points, given.points, random.Random(given.seed)):
            with redirect_stdout(io.StringIO()):
                code, wrong = rack.try_out(point)
            codes[code] += 1
            breaches += bool(wrong)
            for sentence in wrong:
                print(f"{point}: {sentence}", flush=True)
    print(
        f"{codes.total()} of {len(points)} faults (seed {given.seed}): exit codes "
        + ", ".join(f"{code} {count} times" for code, count in sorted(codes.items()))
        + f"; {breaches} with anything missing, a traceback or no message"
    )
    return int(bool(breaches))


if __name__ == "__main__":
    sys.exit(main())
