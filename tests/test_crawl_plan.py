"""`scrapy plan`: what it says of a list comes true when the list is crawled."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import write_list

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

pytestmark = pytest.mark.usefixtures("api_process")


def run_plan(crawl: Crawl, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scrapy", "plan", *arguments],
        cwd=crawl.cwd, env=crawl._environment(crawl.cwd, "crawler.settings"), capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


def facts(crawl: Crawl, *arguments: str) -> dict[str, Any]:
    done = run_plan(crawl, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_it_says_of_a_list_is_so_before_and_after_a_run(api: ApiServer, crawl: Crawl) -> None:
    lines = [api.url(f"/items/{n}") for n in range(60)]
    write_list(crawl.cwd / "items.txt", [*lines, lines[0], "bad", api.url("/items/0?x")])
    found = facts(crawl, "items.txt", "--probe", "20")
    assert (found["lines"], found["calls"], found["duplicates"], found["invalid"]) == (63, 61, 1, 1)
    assert found["hosts"] == {api.netloc: 62}
    assert api.stats()["requests"] == 20
    assert api.stats()["peak"] <= 5
    assert not (crawl.cwd / "out").exists()
    promised = {row["workers"]: row["seconds"] for row in found["expected"]}
    assert promised[1] > promised[20] >= promised[100] > 0
    assert found["room"]["bytes"] > 61 * 20_000

    crawl("items.txt")
    again = facts(crawl, "items.txt", "--probe", "20")
    assert (again["calls"], again["stands"], again["probe"]) == (0, 61, None)
    assert facts(crawl, "items.txt", "-a", "redo=all")["again"] == 61


def test_quotas_that_bind_are_told_in_days(api: ApiServer, crawl: Crawl) -> None:
    write_list(crawl.cwd / "ids.txt", map(str, range(5_000)))
    template = f"template={api.url('/items/{}')}"
    done = run_plan(crawl, "ids.txt", "-a", template, "-a", "rate=50/s,1000/d", "--probe", "8")
    assert done.returncode == 0, done.stderr
    assert "ids.txt: 5,000 lines" in done.stdout
    assert "20 workers: about 4 days" in done.stdout
    assert "limited by 1000/d" in done.stdout
    assert "Room: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which list: scrapy plan"),
        (["none.txt"], "scrapy plan: none.txt: no such file"),
        (["a.csv"], "scrapy plan: a.csv: has no column 'url'"),
        (["a.csv", "-a", "worker=3"], "did you mean -a workers?"),
        (["a.csv", "--probe", "x"], "invalid int value"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(crawl: Crawl, arguments: list[str], words: str) -> None:
    write_list(crawl.cwd / "a.csv", ["id,link", "1,http://x/"])
    done = run_plan(crawl, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
