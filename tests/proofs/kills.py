"""kill -9 at random moments, the same command again, until it is done: nothing lost, torn or doubled.

    python -m tests.proofs.kills --kills 30 --lines 5000
    python -m tests.proofs.kills --kills 30 --lines 250 --pages 20
    python -m tests.proofs.kills --kills 10 --lines 2000 --redo

Every file is checked against what the server says that it sent, and calls are counted at the server.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.store.process import BATCH_RECORDS
from crawler.store.writer import QUEUE_RECORDS
from tests.harness import ApiServer, Crawl, write_list

if TYPE_CHECKING:
    from tests.harness import Output

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is killed. pages: of each line's chain, 1 for plain lines. redo: kill a `redo=all` of a finished run."""

    kills: int
    lines: int
    pages: int = 1
    redo: bool = False
    workers: int = 20
    seed: int = 1

    @property
    def calls(self) -> int:
        return self.lines * self.pages

    @property
    def bound(self) -> int:
        """Calls that one kill may repeat: in flight, in the writer's queue, and in the batch it is committing."""
        return self.workers + QUEUE_RECORDS + BATCH_RECORDS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. repeated: calls made more than once, in all; worst: the most that one kill cost."""

    kills: int
    repeated: int
    worst: int


def prepare(folder: Path) -> None:
    """Put the spider that follows pages, and settings that know it, into *folder*."""
    (folder / "follower.py").write_text(FOLLOWER)
    (folder / "kills_settings.py").write_text(SETTINGS)


def run_trial(trial: Trial, api: ApiServer, folder: Path) -> Outcome:
    """Raises AssertionError when anything is lost, torn, doubled, or repeated beyond the bound."""
    rng = random.Random(trial.seed)
    prepare(folder)
    path = "/items/{}" if trial.pages == 1 else f"/pages/{{}}/1?last={trial.pages}"
    urls = [api.url(path.format(number)) for number in range(trial.lines)]
    items = write_list(folder / "items.txt", urls)
    crawl = Crawl(folder)
    how: dict[str, Any] = {
        "spider": "follower" if trial.pages > 1 else "apifetch",
        "settings_module": "kills_settings",
        "workers": trial.workers,
    }
    expected = trial.calls
    if trial.redo:
        assert crawl(items, timeout_s=600, **how).returncode == 0
        how["redo"] = "all"
    before = sum(api.seen().values())
    made, lost, worst = 0, 0, 0
    moments = sorted(rng.sample(range(expected), trial.kills))
    for moment in moments:
        running = crawl(items, wait=False, **how)
        reached = made + max(moment - made, 0) if rng.random() > 0.2 else made  # one in five in start-up
        deadline_s = time.monotonic() + (60 if reached > made else rng.uniform(0.2, 1.5))
        while time.monotonic() < deadline_s and running.process.poll() is None:
            if reached > made and _calls(api) - before >= reached:
                break
            time.sleep(0.002)
        ended = running.process.poll() is not None
        result = running.kill()
        if ended:
            break
        made = _calls(api) - before
        lost_now = made - _done(result, redo=trial.redo)  # calls whose records are not durable: they are made again
        worst, lost = max(worst, lost_now - lost), lost_now
        assert worst <= trial.bound
    result = crawl(items, timeout_s=600, **how)
    assert result.returncode == 0, result.returncode
    audit(result, api, urls, trial)
    repeated = sum(api.seen().values()) - before - expected
    assert repeated <= trial.bound * trial.kills
    crawl.close()
    return Outcome(trial.kills, repeated, worst)


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
    assert len(rows) == trial.calls, (len(rows), trial.calls)
    assert Counter(row["outcome"] for row in rows) == {"ok": trial.calls}
    assert len({row["uuid"] for row in rows}) == trial.calls
    assert sorted(row["url"] for row in rows if row["line"]) == sorted(urls)
    sent = dict(api.log())
    files = {str(path.relative_to(result.out)) for path in result.files()}
    assert files == {row["location"] for row in rows}
    assert not result.files("errors")
    for row in rows:
        data = (result.out / row["location"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["file_digest"], row["location"]
        assert row["uuid"] == str(uuid.uuid5(uuid.NAMESPACE_URL, row["url"]))
        assert row["sha256"] == sent[row["url"].removeprefix(api.origin)] == json.loads(data)["sha256"]
    summary = result.summary
    followed = trial.calls - trial.lines
    assert summary["equation"] == {
        "lines": trial.lines, "followed": followed, "ok": trial.calls, "failed": 0, "invalid": 0, "duplicate": 0,
        "left": 0,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--redo", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    trial = Trial(**vars(parser.parse_args()))
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        outcome = run_trial(trial, api, Path(folder))
    print(
        f"{trial.calls} calls, {outcome.kills} kills (seed {trial.seed}): 0 lost, 0 torn, 0 duplicate rows; "
        f"{outcome.repeated} calls repeated, {outcome.repeated / outcome.kills:.1f} a kill, "
        f"the worst {outcome.worst}, bound {trial.bound}"
    )


if __name__ == "__main__":
    main()
