"""report.html: its numbers are the ledger's, nothing in it can run, and a curl command repeats what failed."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

import pytest

from crawler.exceptions import StoreError
from crawler.report import page_of
from crawler.report.curl import curl_command
from crawler.report.curve import POINTS, curve
from crawler.report.markup import Markup, data, el, joined, text
from crawler.report.shards import shards
from crawler.report.shown import Shown, choose, curve_of
from crawler.secrets import only_names
from crawler.store.schema import tables_sql
from tests.harness import ROOT, ApiServer, Crawl
from tests.stored import drive, make_plan

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE: Final = (
    "<script>window.hacked=1</script>", "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"onmouseover='window.hacked=1'", "javascript:window.hacked=1", "{{7*7}}${7*7}", "<!--", "]]>", "&lt;b&gt;",
)  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page and all that is text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.text = ""
        self.data: dict[str, Any] = {}
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)
        self.values += [value or "" for _, value in attrs]
        if tag != "meta":
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, content: str) -> None:
        if "script" not in self._inside and "style" not in self._inside:
            self.text += f"{content} "
        elif content.startswith("{"):
            self.data = json.loads(content)


# HTML


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_and_data_stay_text_and_data(hostile: str) -> None:
    page = joined(el("p", hostile, title=hostile), el("script", data([hostile]), type="application/json"))
    found = Elements(page)
    assert found.tags == {"p": 1, "script": 1}
    assert found.attributes == {"title", "type"}
    assert found.text.strip() == hostile
    assert json.loads(page.rpartition('json">')[2].removesuffix("</script>")) == [hostile]


def test_what_hides_or_turns_text_is_seen() -> None:
    assert text("a\u202eb\x00c\u200bd\ud800") == "a\ufffdb\ufffdc\ufffdd\ufffd"
    assert text(text("<")) == "&lt;"
    assert isinstance(text("x"), Markup)


# curl


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"url": "https://h/a?b=1&c='x y'"}, "'https://h/a?b=1&c='\"'\"'x y'\"'\"''"),
        ({"url": "https://h/a?api_key=abc&b=1"}, "'https://h/a?api_key='\"${API_KEY}\"'&b=1'"),
        ({"url": "https://me:secret@h/"}, 'https://me:"${PASSWORD}"@h/'),
        ({"url": "https://h/`id`$(id)\\"}, "'https://h/`id`$(id)\\'"),
        ({"url": "https://h/a", "method": "DELETE"}, "-X DELETE https://h/a"),
        ({"url": "https://h/", "headers": [["X-Api-Key", "abc"]]}, "-H 'X-Api-Key: '\"${X_API_KEY}\" https://h/"),
        ({"url": "https://h/", "headers": [["Accept", "*/*"]]}, "-H 'Accept: */*' https://h/"),
        ({"url": "https://h/", "headers": [["X", "${A_B}"]]}, "-H 'X: '\"${A_B}\" https://h/"),
    ],
)  # fmt: skip
def test_a_call_as_a_command(how: dict[str, Any], expected: str) -> None:
    command = curl_command(how, None)
    assert command == f"curl -sSgi {expected}"
    assert "abc" not in command
    assert "secret" not in command


def test_a_command_repeats_the_call(api: ApiServer) -> None:
    """What a shell makes of it, seen at the server; secrets come from the environment."""
    odd = 'it\'s a "test" $HOME `id` \\ \n é'
    request = {
        "url": api.url("/echo?q=it%27s&api_key=a-real-key&x=$HOME;id"), "method": "POST",
        "headers": [
            ["Content-Type", "application/json"], ["X-Odd", "${ODD}"], ["Authorization", "Bearer a-real-token"],
        ],
    }  # fmt: skip
    body = json.dumps({"name": odd, "password": "a-real-password"}).encode()
    command = curl_command(request, body, headers=[("X-More", "***")], params=[("p", "Bearer ${P}")], timeout_s=30)
    assert "a-real" not in command
    env = {
        "PATH": os.environ["PATH"],
        "API_KEY": "k",
        "ODD": "o'dd",
        "AUTHORIZATION": "t",
        "X_MORE": "m",
        "P": "p",
        "PASSWORD": "pw",
    }
    run = subprocess.run(["bash", "-euc", command], env=env, capture_output=True, check=True, timeout=240)
    seen = json.loads(run.stdout.partition(b"\r\n\r\n")[2])
    assert seen["method"] == "POST"
    headers = {name.lower(): value for name, value in dict(seen["headers"]).items()}
    assert headers["x-odd"] == "o'dd"
    assert headers["authorization"] == "t"
    assert headers["x-more"] == "m"
    assert json.loads(base64.b64decode(seen["body_base64"])) == {"name": odd, "password": "pw"}
    assert seen["target"] == "/echo?q=it%27s&api_key=k&x=$HOME;id&p=Bearer+p"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer ${TOKEN}", "Bearer ${TOKEN}"), ("${TOKEN}", "${TOKEN}"), ("abc", "***"), ("abc${X}def", "***${X}***"),
        ("Basic ${A}:${B}", "Basic ${A}***${B}"), ("", "***"),
    ],
)  # fmt: skip
def test_of_headers_the_names_are_told_and_never_the_values(value: str, shown: str) -> None:
    assert only_names(value) == shown


# The curve


def rows(seconds: range, **more: int) -> list[tuple[Any, ...]]:
    one = {"calls": 3, "ok": 2, "refused": 1, "retries": 1, "rests": 0, "bytes": 10, **more}
    return [(at, *one.values(), '{"100": 2, "5": 1}', 7) for at in seconds]


def test_a_curve_of_hours_has_few_points_and_loses_nothing() -> None:
    found = curve(rows(range(1000, 21_000)), 1000, 20_999)
    columns = found.columns()
    assert len(columns["at"]) <= POINTS
    assert {len(column) for column in columns.values()} == {len(columns["at"])}
    sums = {"calls": 60_000, "ok": 40_000, "refused": 20_000, "retries": 20_000, "rests": 0, "bytes": 200_000}
    assert found.sums == sums
    assert sum(columns["refused"]) == 20_000
    assert columns["calls"][0] == 3
    assert found.latency == {100: 40_000, 5: 20_000}
    assert columns["limit"][0] == 7


def test_a_second_without_calls_is_a_gap() -> None:
    found = curve([*rows(range(5, 6)), *rows(range(8, 9))], 5, 8).columns()
    assert found["at"] == [5, 6, 7, 8]
    assert found["calls"] == [3, 0, 0, 3]
    assert found["p50"][1] is None


# The page


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output directory with the seconds of 16 hours, many hosts and many kinds of failure."""
    from crawler.store.ledger import Ledger  # noqa: PLC0415  # by hand: no crawl makes this in a test's time

    out = tmp_path_factory.mktemp("big")
    Ledger(out, durable=False).close()
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        db.execute(
            "INSERT INTO runs VALUES (1, 1, '2026-01-01T00:00:00.000Z', '2026-01-03T12:00:00.000Z', '{}', '{}', "
            "'batch', NULL, 'retryable', 1, 1, NULL, 0, NULL)"
        )
        db.executemany(
            "INSERT INTO timeline VALUES (1, ?, 50, 49, 1, 1, 0, 1000, ?, 20)",
            ((at, json.dumps({bound: at % bound for bound in (10, 100, 1000, 10_000)})) for at in range(60_000)),
        )
        db.executemany(
            "INSERT INTO calls (id, run, checked, state, n, method, url, host, outcome, status, error) "
            "VALUES (?, 1, 1, 0, 1, 'GET', ?, ?, ?, ?, ?)",
            (
                (
                    n,
                    f"https://host{n % 5000}/{'x' * 600}",
                    f"host{n % 5000}",
                    "ok" if n % 2 else "rejected",
                    200,
                    f"kind {'x' * (n % 100)}",
                )
                for n in range(1, 20_001)
            ),
        )
        db.execute(
            "INSERT INTO requests SELECT id, json_object('url', url, 'method', 'GET'), NULL FROM calls "
            "WHERE outcome != 'ok'"
        )
        db.commit()
    return out


def test_a_long_run_is_a_small_page(big: Path) -> None:
    page = page_of(big)
    assert len(page) < 1_000_000
    found = Elements(page)
    assert "3,000,000 calls, 60,000 retries" in found.text
    assert sum(found.data["refused"]) == 60_000
    assert "And 4,950 hosts more" in found.text
    assert re.search(r"And \d+ kinds more", found.text)


def test_a_ledger_that_takes_too_long_is_given_up(big: Path) -> None:
    with pytest.raises(StoreError, match=r"longer than -1 s"):
        page_of(big, limit_s=-1)


def test_the_page_says_what_the_ledger_says_and_nothing_in_it_can_run(api: ApiServer, crawl: Crawl) -> None:
    """A crawl of hostile lines; the report at its end, the command, and the numbers held against the ledger."""
    urls = [api.url(f"/items/{n}?size=300") for n in range(20)]
    urls += [api.url(f"/missing/{n}?x={hostile}") for n, hostile in enumerate(HOSTILE) if " " not in hostile]
    urls += [api.url("/status/500?api_key=an-api-key-1234"), urls[0], *HOSTILE]
    headers = '{"Authorization": "Bearer ${TOKEN}", "X-Key": "a-literal-secret"}'
    result = crawl(urls, retries=0, headers=headers, hosts=api.netloc, env={"TOKEN": "a-token-of-the-environment"})
    page = (result.out / "report.html").read_text("utf-8")
    found = Elements(page)
    for secret in ("an-api-key-1234", "a-literal-secret", "a-token-of-the-environment"):
        assert secret not in page
    assert found.tags["script"] == 3
    assert not found.tags["img"]
    assert not any(name.startswith("on") for name in found.attributes)
    assert not any(value.startswith("javascript:") for value in found.values)
    assert not found.tags["a"] + found.tags["link"] + found.tags["iframe"]
    assert "window.hacked=1" in found.text, "it is shown, as text"
    sums = result.summary["equation"]
    said = re.sub(r"\s+", " ", found.text)
    assert (
        f"{sums['lines']} lines = {sums['ok']} ok + {sums['failed']} failed + {sums['invalid']} invalid"
        f" + {sums['duplicate']} duplicate + {sums['left']} left"
    ) in said
    for row in result.rows("select outcome, count(*) n from records group by 1"):
        assert f" {row['outcome']} {row['n']} " in said
    for row in result.rows(
        "select status, count(*) n from records where status is not null and outcome != 'duplicate' group by 1"
    ):
        assert f" {row['status']} {row['n']} " in said
    (row,) = result.rows("select sum(calls) calls from timeline")
    assert f" {row['calls']} calls, 0 retries" in said
    assert sum(found.data["held"]) == len(
        result.rows("select 1 from records where elapsed_ms is not null and outcome != 'duplicate'")
    )
    curls = re.findall(r"<pre>(.+?)</pre>", page)
    assert any("api_key='&quot;${API_KEY}&quot;" in curl or "${API_KEY}" in curl for curl in curls)
    assert all("Authorization: Bearer" in curl and "${TOKEN}" in curl and "${X_KEY}" in curl for curl in curls)
    again = subprocess.run(
        [sys.executable, "-m", "scrapy", "report", result.out, "--run", "7"],
        cwd=crawl.cwd, env=crawl._environment(crawl.cwd, "crawler.settings"), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (again.returncode, again.stderr) == (2, f"scrapy report: {result.out}: there is no run 7\n")
    assert Elements(page_of(result.out)).text.replace("\n", "")[:200] == found.text.replace("\n", "")[:200]


def test_the_plotting_library_is_the_released_one() -> None:
    """As npm has it, with its licence and version, and nothing that could end the script element early."""
    folder = ROOT / "crawler/report"
    library = (folder / "uplot.js").read_text("utf-8")
    assert library.startswith("/*! https://github.com/leeoniya/uPlot (v1.6.32) */")
    assert "</script" not in library.lower() + (folder / "page.js").read_text("utf-8").lower()
    assert "MIT License" in (folder / "uplot-license.txt").read_text("utf-8")


def test_parts_that_never_ran_or_are_not_complete_are_named(tmp_path: Path) -> None:
    assert list(shards(tmp_path)) == []
    for part in ("1-of-6", "2-of-6", "3-of-6", "5-of-6", "6-of-6", "1-of-8"):
        (tmp_path / f"ledger-{part}.sqlite").touch()
    os.utime(tmp_path / "ledger-1-of-8.sqlite", (2**31, 2**31))  # which was copied last
    (tmp_path / "ledger-4-of-6.lock").touch()
    for part, at, state, reason, left in (
        ("1-of-6", "01", "finished", None, 0), ("2-of-6", "09", "stopped", "shutdown", 12),
        ("3-of-6", "09", "running", None, "unknown"), ("5-of-6", "10", "stopped", "max_calls", "unknown"),
        ("1-of-8", "08", "finished", None, 0),
    ):  # fmt: skip
        written_at = f"2026-01-01T{at}:00:00.000Z"
        summary = {"state": state, "stop_reason": reason, "equation": {"left": left}, "written_at": written_at}
        (tmp_path / f"summary-{part}.json").write_text(json.dumps(summary))
    assert list(shards(tmp_path)) == [
        f"{tmp_path} is in 6 parts: 1 complete",
        "  part 2/6 was stopped (shutdown): 12 lines left",
        "  part 3/6 runs, or was killed",
        "  part 4/6 never ran",
        "  part 5/6 was stopped (max_calls): was not read to its end",
        "  part 6/6 has not begun",
        "  part 1/8, of an earlier number, has records that no part has taken over yet",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("update runs set summary = '{'", "summary of run 1 is no JSON object: '{'"),
        ("update runs set arguments = '5'", "arguments of run 1 is no JSON object: '5'"),
    ],
)
def test_a_run_that_was_not_written_so_is_told_in_a_line(tmp_path: Path, change: str, says: str) -> None:
    drive(make_plan(tmp_path, ["a"]))
    with closing(sqlite3.connect(tmp_path / "out/ledger.sqlite")) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError, match=says):
        page_of(tmp_path / "out")


def test_an_outcome_that_is_none_of_ours_is_shown_as_it_is(tmp_path: Path) -> None:
    drive(make_plan(tmp_path, ["a"]))
    with closing(sqlite3.connect(tmp_path / "out/ledger.sqlite")) as db:
        db.execute("update calls set outcome = 'strange', error = ''")
        db.commit()
    assert "strange" in Elements(page_of(tmp_path / "out")).text


# Parts of a list, as one


def told_as_one(*runs: tuple[str | None, int, range | None]) -> sqlite3.Connection:
    """A ledger's runs and seconds. runs: the part, the second at which it began, and the seconds with calls: 3 each."""
    db = sqlite3.connect(":memory:")
    db.executescript(tables_sql())
    for number, (shard, began, seconds) in enumerate(runs, 1):
        at = [f"1970-01-01T00:{second // 60:02}:{second % 60:02}.000Z" for second in (began, began + 10)]
        db.execute(
            "INSERT INTO runs (id, started_at, ended_at, arguments, versions, durability, redo, redo_base, exit_code) "
            "VALUES (?, ?, ?, ?, '{}', 'batch', 'none', 1, 0)",
            (number, *at, json.dumps({"shard": shard})),
        )
        for second in seconds or ():
            db.execute(f"INSERT INTO timeline VALUES ({number}, {second}, 3, 3, 0, 0, 0, 9, '{{}}', {10 * number})")
    return db


@pytest.mark.parametrize(
    ("runs", "asked", "told", "parts"),
    [
        pytest.param([(None, 0, range(5))], None, 1, [], id="the whole list"),
        pytest.param(
            [("1/2", 0, range(5)), ("2/2", 1, range(2, 9)), (None, 20, None)], None, 3, [1, 2], id="a fleet"
        ),
        pytest.param([("1/2", 0, range(5)), ("2/2", 1, range(2, 9)), (None, 20, None)], 3, 3, [1, 2], id="its end"),
        pytest.param([("1/2", 0, range(5)), ("2/2", 1, range(2, 9)), (None, 20, None)], 1, 3, [1, 2], id="a part"),
        pytest.param(
            [("1/2", 30, range(30, 35)), ("1/2", 0, range(9)), ("2/2", 1, range(2, 40)), (None, 50, None)],
            None, 4, [2, 3, 1], id="one was killed",
        ),
        pytest.param(
            [("1/2", 0, range(9)), ("1/2", 300, range(300, 305)), ("2/2", 300, range(300, 302)), (None, 400, None)],
            None, 4, [2, 3], id="what an earlier fleet did is left out",
        ),
        pytest.param(
            [("1/2", 0, range(9)), ("1/2", 300, range(300, 305)), (None, 400, None)], 1, 3, [1], id="unless asked for"
        ),
        pytest.param(
            [("1/2", 0, range(9)), ("2/2", 60, range(60, 65)), (None, 99, None)], None, 3, [1, 2], id="in turn"
        ),
        pytest.param(
            [("1/2", 0, range(9)), ("1/3", 9, range(9, 12)), (None, 99, None)], None, 3, [2], id="of another number"
        ),
        pytest.param([("1/2", 0, range(5)), (None, 20, range(20, 22))], None, 2, [], id="the whole made calls itself"),
        pytest.param([("1/2", 0, range(5)), (None, 20, None), (None, 90, None)], None, 2, [1], id="idle since"),
        pytest.param([("1/2", 0, range(5)), (None, 20, None), (None, 90, None)], 3, 3, [], id="not its parts"),
        pytest.param([("1/2", 0, range(5))], None, 1, [1], id="not brought together"),
    ],
)  # fmt: skip
def test_parts_that_were_on_together_are_told_as_one(
    runs: list[tuple[str | None, int, range | None]], asked: int | None, told: int, parts: list[int]
) -> None:
    with closing(told_as_one(*runs)) as db:
        shown = choose(db, asked)
        assert shown is not None
        assert (shown.run["id"], [part["id"] for part in shown.parts]) == (told, parts)


def test_their_seconds_are_one_curve_with_the_limit_of_all_that_are_on() -> None:
    seconds = [(None, 0, range(3)), ("1/2", 10, range(10, 14)), ("2/2", 10, range(11, 21)), (None, 30, None)]
    with closing(told_as_one(*seconds)) as db:
        db.execute("DELETE FROM timeline WHERE run = 2 AND second = 12")  # nothing ended then
        shown = choose(db, None)
        assert shown is not None
        at = curve_of(db, shown)
        assert at is not None
        assert at.columns()["calls"] == [3, 6, 3, 6, 3, 3, 3, 3, 3, 3, 3]
        assert at.columns()["limit"] == [20, 50, 50, 50, 30, 30, 30, 30, 30, 30, 30]
        assert shown.work(at) == {"seconds": 10.0, "calls_per_s": 3.9, "kept": 0}


def test_what_kept_parts_from_being_faster_is_weighed_by_their_time() -> None:
    def ended(part: int, limit: str, seconds: int, **shares: float) -> dict[str, Any]:
        why = {"limit": limit, "sentence": f"by {limit}", "shares": shares}
        return {**killed(part), "summary": {"bottleneck": why, "run": {"seconds": seconds}}}

    def killed(part: int) -> dict[str, Any]:
        return {"summary": {}, "arguments": {"shard": f"{part}/4"}}

    four = [
        ended(1, "cpu", 30, cpu=1.0), ended(2, "latency", 10, latency=0.6, cpu=0.4), killed(3), ended(3, "cpu", 0),
        killed(4),
    ]  # fmt: skip
    found = Shown(run={"summary": {}}, parts=four).bottleneck()
    assert found == {
        "sentence": "In the way, of 2 of 4 parts: this machine's CPU",
        "shares": {"cpu": 0.85, "latency": 0.15},
    }
    assert Shown(run=ended(1, "cpu", 1)).bottleneck() == ended(1, "cpu", 1)["summary"]["bottleneck"]
    assert Shown(run={"summary": {}}, parts=[killed(1)]).bottleneck() is None
