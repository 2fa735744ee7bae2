"""A list in parts under the real command: at once, killed, taken on by another number of them, brought together."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import closing
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import crawler
from crawler.items import Shard
from crawler.store.place import Place
from tests.harness import ROOT, Output, write_list

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

LINES = 80
DELAYS_MS = 100, 500  # with one worker a part takes 10 s more than its first lines: time enough to stop it
EACH: dict[str, Any] = {"workers": 5, "settings": {"APIFETCH_DURABILITY": "process"}}


def ok_rows(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as db:
        return int(db.execute("SELECT count(*) FROM records WHERE outcome = 'ok'").fetchone()[0])


def told(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("line", "uuid", "outcome", "status", "location", "sha256", "error")
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


def test_parts_at_once_one_of_them_killed_and_the_rest_done_by_another_number_of_parts(
    api: ApiServer, crawl: Crawl
) -> None:
    lines = [api.url(f"/items/{n}?delay_ms={DELAYS_MS[n >= 30]}") for n in range(LINES)]
    urls = write_list(crawl.cwd / "list.txt", [*lines, "http://[::1", lines[0]])
    alone = crawl(urls, out="alone", settings=EACH["settings"], workers=50)

    first = crawl.start(urls, out="out", shard="1/2", **{**EACH, "workers": 1})
    second = crawl.start(urls, out="out", shard="2/2", **EACH)
    first.wait_for(lambda: len(Output(crawl.cwd / "out").files()) >= 10)
    first.signal(signal.SIGSTOP)
    twice = crawl(urls, out="out", shard="1/2", **EACH)
    assert twice.returncode == 69
    assert "another run holds part 1/2 of out" in twice.stderr
    first.kill()
    assert second.wait().returncode in {0, 65}
    with closing(Place.take(crawl.cwd / "out", Shard(1, 2))):  # the killed one's writer has ended
        done_before = sum(map(ok_rows, (crawl.cwd / "out").glob("ledger-*.sqlite")))
    made_before = api.stats()["requests"]

    # The number from a Kubernetes Job's environment, which counts from 0
    for index in range(3):
        done = crawl(urls, out="out", shard="auto/3", env={"JOB_COMPLETION_INDEX": str(index)}, **EACH)
        assert done.returncode in {0, 65}
        assert f"part {index + 1}/3 of " in done.stderr
    assert sorted(path.name for path in (crawl.cwd / "out").glob("ledger*.sqlite")) == [
        f"ledger-{number}-of-3.sqlite" for number in (1, 2, 3)
    ]
    assert " elsewhere" in done.stderr
    made = api.stats()["requests"]
    assert 10 <= done_before < LINES, "one part is not done, and both may be of any size: names depend on the port"
    assert made - made_before == LINES - done_before

    export = crawl.scrapy("export", "out", "--to", "out.jsonl")
    assert (export.returncode, b"run the list once without shard=" in export.stderr) == (2, True)
    whole = crawl(urls, out="out", **EACH)
    assert whole.returncode == alone.returncode == 65
    assert "Nothing to do" in whole.stderr
    assert api.stats()["requests"] == made
    assert told(whole.rows()) == told(alone.rows())
    assert [path.name for path in whole.files()] == [path.name for path in alone.files()]
    assert [each["body"] for each in whole.envelopes()] == [each["body"] for each in alone.envelopes()]
    assert whole.summary["equation"] == alone.summary["equation"]


def test_a_part_that_nobody_can_tell_is_refused(crawl: Crawl) -> None:
    for shard, env, said in (
        ("9/8", {}, "expected i/n, such as 3/8"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "expected JOB_COMPLETION_COUNT in the environment"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "4"}, "a whole number from 0 to 3, not '4'"),
    ):
        done = crawl(["http://127.0.0.1:1/"], shard=shard, env=env)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_part_from_python_has_its_own_sum(api: ApiServer, crawl: Crawl) -> None:
    urls = write_list(crawl.cwd / "list.txt", [api.url(f"/items/{n}") for n in range(9)])
    done = crawler.fetch(urls, out=crawl.cwd / "out", shard="2/2", quiet=True)
    assert (done.exit_code, done.left) == (0, 0)
    assert 0 < done.ok < 9
    assert done.summary["equation"]["elsewhere"] == 9 - done.ok


def pod() -> list[str]:
    """The shell of a Kubernetes Pod, which runs the command that follows."""
    manifest = (ROOT / "deploy" / "kubernetes-job.yaml").read_text()
    script = dedent(manifest.partition("            - |\n")[2].partition("          env:")[0])
    script, places = re.subn(r"scrapy crawl apifetch( -a [^ ]+)+ &", '"$@" &', script)
    assert places == 1
    return ["sh", "-c", script.replace("export ", ": "), "sh"]


def test_a_pod_that_is_told_to_stop_stops_its_part_in_good_order(api: ApiServer, crawl: Crawl) -> None:
    """The signal comes to the shell alone."""
    running = crawl([api.url("/hang/1")], within=pod(), wait=False, settings={"APIFETCH_DRAIN_S": 0.1})
    running.wait_for(lambda: api.stats()["requests"])
    running.signal(signal.SIGTERM)
    done = running.wait()
    assert (done.returncode, done.summary["stop_reason"]) == (75, "shutdown")


def test_a_pod_whose_lines_failed_is_done(api: ApiServer, crawl: Crawl) -> None:
    done = crawl([api.url("/status/404"), "no url"], within=pod())
    assert (done.returncode, done.summary["exit_code"]) == (0, 8)
