"""Ended at random moments, the same command again, until it is done: nothing lost, torn or doubled.

    python -m tests.proofs.kills --kills 500 --lines 50_000
    python -m tests.proofs.kills --kind pages --kills 30 --lines 5_000 --seed 7

Ends of all sorts, in turn: SIGKILL of the command, of its writer's process alone, of both, SIGTERM, SIGINT twice.
`--kind all` gives every kind of run its share of kills and lines. Every file is checked against what the server
says that it sent, and calls are counted at the server.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import signal
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.store.parts import PartReader, frames, unpack
from crawler.store.process import BATCH_RECORDS
from crawler.store.tree import FileReader
from crawler.store.writer import QUEUE_RECORDS
from tests.harness import ApiServer, Crawl, write_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.store.bodies import Reader
    from tests.harness import CrawlResult, Output, Running

FOLLOWER = """
from crawler.spiders.apifetch import ApiFetchSpider


class Follower(ApiFetchSpider):
    name = "follower"

    def parse(self, response, **kwargs):
        page = response.json()
        if page["next"]:
            yield response.follow(page["next"])
"""

SETTINGS = """
from crawler.settings import *

SPIDER_MODULES = ["crawler.spiders", "follower"]
"""

KINDS: Final = ("plain", "redo", "pages", "retries", "one worker", "packed")
"""What is killed: a list, a `redo=all` of a finished one, chains of pages, a list of which some calls fail at first, a
list one call at a time, a list whose bodies go into packs (`pack=jsonl`)."""

FAILS: Final = 5
"""Of so many calls one is answered by 500 at first: more would be an outage, for which a run waits."""

PAGES: Final = 20
"""A chain's length: a kill then leaves pages that only the ledger knows of."""

POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One list and its kills. lines: of pages, each begins a chain of PAGES."""

    kills: int
    lines: int
    kind: str = "plain"
    seed: int = 1

    @property
    def workers(self) -> int:
        return 1 if self.kind == "one worker" else 20

    @property
    def rows(self) -> int:
        return self.lines * (PAGES if self.kind == "pages" else 1)

    @property
    def calls(self) -> int:
        """The fewest: one that fails is made twice."""
        return self.rows + (-(-self.rows // FAILS) if self.kind == "retries" else 0)

    @property
    def bound(self) -> int:
        """Calls that one kill may repeat: in flight, in the writer's queue, and in the batch it is committing."""
        return self.workers + QUEUE_RECORDS + BATCH_RECORDS

    def path(self, number: int) -> str:
        match self.kind:
            case "pages":
                return f"/pages/{number}/1?last={PAGES}"
            case "retries" if number % FAILS == 0:
                return f"/fail/{number}?times=1&status=500"
        return f"/items/{number}"


@dataclass(slots=True)
class Outcome:
    """What came of it. repeated: calls made more than once, in all; worst: the most that one kill cost.

    ends: how runs were ended, and with which exit code.
    """

    rows: int = 0
    kills: int = 0
    repeated: int = 0
    worst: int = 0
    ends: Counter[str] = field(default_factory=Counter)


def prepare(folder: Path) -> None:
    """Put the spider that follows pages, and settings that know it, into *folder*."""
    (folder / "follower.py").write_text(FOLLOWER)
    (folder / "kills_settings.py").write_text(SETTINGS)


# Ends


def kill(running: Running) -> CrawlResult:
    return running.kill()


def kill_writer(running: Running) -> CrawlResult:
    """The run must notice, and say that the disk's side has ended."""
    for writer in _children(running):
        with suppress(ProcessLookupError):
            os.kill(writer, signal.SIGKILL)
        return running.wait()
    return running.kill()  # it has none yet


def kill_both(running: Running) -> CrawlResult:
    writers = _children(running)
    running.process.kill()
    for writer in writers:
        with suppress(ProcessLookupError):
            os.kill(writer, signal.SIGKILL)
    return running.wait()


def terminate(running: Running) -> CrawlResult:
    running.signal(signal.SIGTERM)
    return running.wait()


def interrupt_twice(running: Running) -> CrawlResult:
    running.signal(signal.SIGINT)
    time.sleep(random.Random(running.process.pid).uniform(0, 0.1))  # where in its stopping is up to chance
    with suppress(ProcessLookupError):
        running.signal(signal.SIGINT)
    return running.wait()


ENDS: Final[tuple[tuple[Callable[[Running], CrawlResult], frozenset[int]], ...]] = (
    (kill, frozenset({-signal.SIGKILL})),
    (kill_writer, frozenset({3, -signal.SIGKILL})),
    (kill_both, frozenset({-signal.SIGKILL})),
    (terminate, frozenset({75})),
    (interrupt_twice, frozenset({75})),
)
"""How a run is ended, and the exit codes that this may have once it has begun."""

IN_START_UP: Final = frozenset({1, 130, -signal.SIGINT, -signal.SIGTERM})
"""Exit codes of a Python that has not yet been told what to do about signals."""


def _children(running: Running) -> list[int]:
    pid = running.process.pid
    with suppress(FileNotFoundError, ProcessLookupError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


# A trial


def run_trial(trial: Trial, api: ApiServer, folder: Path) -> Outcome:
    """Raises AssertionError when anything is lost, torn, doubled, or repeated beyond the bound."""
    rng = random.Random(trial.seed)
    prepare(folder)
    urls = [api.url(trial.path(number)) for number in range(trial.lines)]
    items = write_list(folder / "items.txt", urls)
    crawl = Crawl(folder, settings={"APIFETCH_RETRY_BASE_S": 0.02, "APIFETCH_RETRY_CAP_S": 0.1})
    how: dict[str, Any] = {
        "spider": "follower" if trial.kind == "pages" else "apifetch",
        "settings_module": "kills_settings",
        "workers": trial.workers,
    }
    if trial.kind == "packed":
        how["pack"] = "jsonl"
    if trial.kind == "redo":
        assert crawl(items, timeout_s=1200, **how).returncode == 0
        how["redo"] = "all"
    before, outcome, made, lost = _calls(api), Outcome(rows=trial.rows), 0, 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it: its children, too
    for number in range(trial.kills):
        running = crawl(items, wait=False, **how)
        step = 2 * (trial.calls - made + lost) / (trial.kills - number + 1)  # on average, so that some is always left
        reached = made + (int(rng.uniform(0, step)) if rng.random() > 0.2 else 0)  # one in five in start-up
        if not _reach(running, api, before + reached if reached > made else None, rng):
            running.wait()
            break
        end, codes = ENDS[(number + trial.seed) % len(ENDS)]
        begun = "Fetching" in running.stderr
        result = end(running)
        outcome.ends[f"{end.__name__}: {result.returncode}"] += 1
        outcome.kills += 1
        assert result.returncode in codes | {0} if begun else codes | {0} | IN_START_UP, (end, result.returncode)
        assert "Traceback" not in result.stderr or not begun, result.stderr
        made = _calls(api) - before
        if trial.kind != "retries":  # where a call that failed has no record, and is not repeated
            now_lost = made - _done(result, redo=trial.kind == "redo")  # not durable: they are made again
            outcome.worst, lost = max(outcome.worst, now_lost - lost), now_lost
            assert outcome.worst <= trial.bound
    result = crawl(items, timeout_s=1200, **how)
    assert result.returncode == 0, result.returncode
    audit(result, api, urls, trial)
    outcome.repeated = _calls(api) - before - trial.calls
    assert 0 <= outcome.repeated <= trial.bound * max(outcome.kills, 1)
    crawl.close()
    return outcome


def _reach(running: Running, api: ApiServer, calls: int | None, rng: random.Random) -> bool:
    """Return when the server has had so many calls, None: soon after the start; False if the run ended before."""
    deadline_s = time.monotonic() + (120 if calls is not None else rng.uniform(0.2, 1.5))
    while time.monotonic() < deadline_s and running.process.poll() is None:
        if calls is not None and _calls(api) >= calls:
            break
        time.sleep(POLL_S)
    return running.process.poll() is None


def _calls(api: ApiServer) -> int:
    return int(api.stats()["requests"])


def _done(output: Output, *, redo: bool) -> int:
    condition = "checked > 1 and" if redo else ""
    try:
        return int(output.rows(f"select count(*) as n from calls where {condition} outcome = 'ok'")[0]["n"])
    except Exception:  # noqa: BLE001  # killed before there was a ledger
        return 0


def audit(result: Output, api: ApiServer, urls: list[str], trial: Trial) -> None:
    """Every line and page has one row, every row its whole file, every body is what the server sent."""
    rows = result.rows()
    assert len(rows) == trial.rows, (len(rows), trial.rows)
    assert Counter(row["outcome"] for row in rows) == {"ok": trial.rows}
    assert len({row["uuid"] for row in rows}) == trial.rows
    assert sorted(row["url"] for row in rows if row["line"]) == sorted(urls)
    sent: dict[str, set[str]] = defaultdict(set)
    for path, digest in api.log():
        sent[path].add(digest)
    files = {str(path.relative_to(result.out)) for path in result.files()}
    stored: Reader = FileReader(result.out)
    if trial.kind == "packed":
        stored = PartReader(result.out)
        audit_parts(result, files)
    else:
        assert files == {row["location"] for row in rows}
    assert not result.files("errors")
    for row in rows:
        data = stored.read(row["location"])
        assert hashlib.sha256(data).hexdigest() == row["file_digest"], row["location"]
        assert row["uuid"] == str(uuid.uuid5(uuid.NAMESPACE_URL, row["url"]))
        assert row["sha256"] == json.loads(data)["sha256"]
        assert row["sha256"] in sent[row["url"].removeprefix(api.origin)], row["url"]
    summary = result.summary
    assert summary["equation"] == {
        "lines": trial.lines, "followed": trial.rows - trial.lines, "ok": trial.rows, "failed": 0, "invalid": 0,
        "duplicate": 0, "erased": 0, "left": 0,
    }  # fmt: skip


def audit_parts(result: Output, files: set[str]) -> None:
    """Every part is in the ledger and can be read whole by others; who does so meets every record once."""
    assert files == {part["name"] for part in result.rows("select name from packs")}
    found: Counter[str] = Counter()
    for name in files:
        data = (result.out / name).read_bytes()
        for at, size in frames(data):
            found.update(json.loads(line)["uuid"] for line in unpack(data[at : at + size]).splitlines())
    assert found == Counter(row["uuid"] for row in result.rows())


def trials(kind: str, *, kills: int, lines: int, seed: int) -> list[Trial]:
    """One, or one of each kind, with shares of kills and records as even as they go."""
    kinds = KINDS if kind == "all" else (kind,)
    return [
        Trial(
            kills=kills // len(kinds), kind=kind, seed=seed + at,
            lines=lines // len(kinds) // (PAGES if kind == "pages" else 1),
        )
        for at, kind in enumerate(kinds)
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--lines", type=int, default=5000, help="records, in all")
    parser.add_argument("--kind", choices=["all", *KINDS], default="all")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    total = Outcome()
    for trial in trials(given.kind, kills=given.kills, lines=given.lines, seed=given.seed):
        with ApiServer() as api, tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            outcome = run_trial(trial, api, Path(folder))
        print(f"{trial}: {outcome}", flush=True)
        total.rows, total.kills = total.rows + outcome.rows, total.kills + outcome.kills
        total.repeated, total.worst = total.repeated + outcome.repeated, max(total.worst, outcome.worst)
        total.ends += outcome.ends
    print(", ".join(f"{end} {count} times" for end, count in sorted(total.ends.items())))
    print(
        f"{total.rows} records, {total.kills} kills (seed {given.seed}): 0 lost, 0 torn, 0 duplicate rows; "
        f"{total.repeated} calls repeated, {total.repeated / max(total.kills, 1):.1f} a kill, "
        f"the worst {total.worst}, bound {trial.bound}"
    )


if __name__ == "__main__":
    main()
