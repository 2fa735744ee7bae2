"""Deployed to a real scrapyd, from an egg, with the sample configuration: whatever ends a job, the next one goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from base64 import b64decode
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from crawler.arguments import ARGUMENTS, SETTINGS
from tests.harness import ApiServer, Output, write_list
from tests.scrapyd_server import PATIENCE_S, Scrapyd, deploy, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]  # several jobs each, on a machine with much else to do

LINES = 300
WORKERS = 4
DELAY_MS = 50  # with these workers the list takes 4 s at least: time enough to cancel in the middle
IN_THE_WRITER = 8  # records of a tenth of a second, which a kill may find on their way to the ledger


@pytest.fixture
def scrapyd(tmp_path: Path) -> Iterator[Scrapyd]:
    server = Scrapyd(tmp_path / "scrapyd")
    yield server
    server.close()


@pytest.mark.parametrize("end", ["one cancel", "two cancels", "kill -9", "scrapyd killed"])
def test_whatever_ends_a_job_the_next_one_finishes_the_list(
    scrapyd: Scrapyd, api: ApiServer, tmp_path: Path, end: str
) -> None:
    """Every line has one record in the end, and no call whose record was kept is made again."""
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    out = Output(tmp_path / "out")
    # What a job is told arrives: arguments, and a setting
    arguments = {"urls": urls, "out": out.out, "workers": WORKERS, "setting": "APIFETCH_DURABILITY=process"}
    answer = deploy(scrapyd, tmp_path / "tree")
    assert answer.get("spiders") == 1, answer

    scrapyd.schedule("first", **arguments)
    wait_until(lambda: api.stats()["requests"] >= LINES // 4, log=scrapyd.log)
    if end == "scrapyd killed":  # the next job, which waits for its turn, begins beside the orphan
        scrapyd.schedule("second", **arguments)
        orphan = scrapyd.pid("first")
        os.kill(orphan, signal.SIGSTOP)  # so that it is still there when the next one begins
        scrapyd.kill()
        scrapyd.start()
        assert "another run holds" in scrapyd.wait_for_end("second")
        os.kill(orphan, signal.SIGCONT)
        wait_until(lambda: out.summary["state"] == "finished", log=scrapyd.log)
        fetched = out.rows()
    else:
        if end == "kill -9":
            os.kill(scrapyd.pid("first"), signal.SIGKILL)
        for _ in range(2 if end == "two cancels" else 1 if end == "one cancel" else 0):
            scrapyd.cancel("first")
        scrapyd.wait_for_end("first")
        if end == "one cancel":
            assert out.summary["exit_code"] == 75
        fetched = out.rows()
        assert 0 < len(fetched) < LINES

    scrapyd.schedule("third", **arguments)
    log = scrapyd.wait_for_end("third")
    rows = sorted((row["line"], row["outcome"]) for row in out.rows())
    assert rows == [(line, "ok") for line in range(1, LINES + 1)], log
    assert len(out.envelopes()) == LINES
    assert out.summary["exit_code"] == 0, log
    assert out.summary["arguments"]["workers"] == WORKERS
    assert {row["durability"] for row in out.rows("select durability from runs")} == {"process"}

    again = {path for path, times in api.seen("/items/").items() if times > 1}
    assert len(again) <= (0 if end == "scrapyd killed" else WORKERS + IN_THE_WRITER)
    assert again.isdisjoint(row["url"].removeprefix(api.origin) for row in fetched)
    scrapyd.kill()
    scrapyd.start()
    assert "third" in scrapyd.finished()  # the list of jobs outlives scrapyd


def test_nobody_gets_in_without_the_password(scrapyd: Scrapyd) -> None:
    for service in ("daemonstatus.json", "logs/", "jobs"):
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{scrapyd.url}{service}", timeout=PATIENCE_S)
        caught.value.close()
        assert caught.value.code == 401


def test_every_argument_and_every_setting_reaches_the_run(scrapyd: Scrapyd, api: ApiServer, tmp_path: Path) -> None:
    """A new one fails this until it has its line here."""
    table = tmp_path / "list.csv"
    table.write_text("id,link\n" + "".join(f"{n},{api.url(f'/echo/{n}')}\n" for n in range(1, 9)))
    env_file = tmp_path / "env"
    env_file.write_text("OF_THE_TEST=abc\n")
    many = {
        "urls": table, "format": "csv", "template": api.url("/echo/{id}"), "method": "PUT", "data": '{"n": {id}}',
        "headers": '{"X-Given": "${OF_THE_TEST}"}', "params": '{"given": "1"}', "pass_env": "OF_THE_TEST",
        "env_file": env_file, "hosts": api.origin.removeprefix("http://"), "out": tmp_path / "many", "save": "raw",
        "workers": "7", "per_host": "3", "rate": "500/s", "retries": "2", "timeout": "11", "max_calls": "9",
        "max_failed": "1", "redo": "failed", "duplicates": "fetch", "expect": "json", "ok_if": "method == 'PUT'",
        "limit": "2", "echo": "status",
    }  # fmt: skip
    few = {"urls": table, "column": "link", "shard": "1/2", "out": tmp_path / "few"}
    packed = {"urls": table, "column": "link", "pack": "jsonl", "out": tmp_path / "packed"}
    missing = {row.name for row in ARGUMENTS} - {*many, *few, *packed}
    assert not missing, f"add a value for {missing}"
    seen_in_the_results = {"APIFETCH_DURABILITY": "strict", "APIFETCH_FOLDER_LEVELS": "2", "USER_AGENT": "test=1"}
    said = {row.setting: row.default_text.strip("`") for row in SETTINGS if row.default_text.startswith("`")}
    settings = [f"{name}={value}" for name, value in {**said, **seen_in_the_results}.items() if value]
    deploy(scrapyd, tmp_path / "tree")

    scrapyd.schedule("many", **many)
    log = scrapyd.wait_for_end("many")
    summary = Output(tmp_path / "many").summary
    assert summary["exit_code"] == 0, log
    assert f"Results: {tmp_path / 'many'}" in log
    for name, value in many.items():
        shown = summary["arguments"][name]
        assert shown is not None, name
        if name not in {"headers", "params", "template", "urls", "out", "pass_env", "hosts", "rate", "ok_if", "redo"}:
            assert str(shown) in {str(value), f"{value}.0"}, name
    seen = [json.loads(path.read_bytes()) for path in Output(tmp_path / "many").files()]
    assert sorted(each["target"] for each in seen) == ["/echo/1?given=1", "/echo/2?given=1"]
    assert {each["method"] for each in seen} == {"PUT"}
    assert {b64decode(each["body_base64"]) for each in seen} == {b'{"n": "1"}', b'{"n": "2"}'}
    assert all(["X-Given", "abc"] in each["headers"] for each in seen)

    scrapyd.schedule("few", **few, setting=settings)
    log = scrapyd.wait_for_end("few")
    part = json.loads((tmp_path / "few" / "summary-1-of-2.json").read_bytes())
    assert part["exit_code"] == 0, log
    assert (part["arguments"]["column"], part["arguments"]["shard"]) == ("link", "1/2")
    assert part["equation"]["ok"] + part["equation"]["elsewhere"] == 8
    scrapyd.schedule("packed", **packed)
    log = scrapyd.wait_for_end("packed")
    assert Output(tmp_path / "packed").summary["equation"]["ok"] == 8, log
    assert Output(tmp_path / "packed").summary["arguments"]["pack"] == "jsonl"
    with closing(sqlite3.connect(tmp_path / "few" / "ledger-1-of-2.sqlite")) as ledger:
        assert ledger.execute("select durability from runs").fetchall() == [("strict",)]
    files = Output(tmp_path / "few").files()
    assert len(files) == part["equation"]["ok"] > 0
    for path in files:
        assert len(path.relative_to(tmp_path / "few" / "responses").parts) == 3
        assert ["User-Agent", "test=1"] in json.loads(path.read_bytes())["body"]["headers"]


def test_a_list_on_the_web_and_a_relative_directory(scrapyd: Scrapyd, api: ApiServer, tmp_path: Path) -> None:
    """The second job of the same words finds what the first one did, in the folder where scrapyd runs."""
    (tmp_path / "web").mkdir()
    write_list(tmp_path / "web" / "items.txt", (api.url(f"/items/{n}") for n in range(5)))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    deploy(scrapyd, tmp_path / "tree")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        urls = f"http://127.0.0.1:{web.server_address[1]}/items.txt"
        scrapyd.schedule("first", urls=urls)
        log = scrapyd.wait_for_end("first")
        scrapyd.schedule("second", urls=urls)
        scrapyd.wait_for_end("second")
        web.shutdown()
    out = Output(scrapyd.home / "out" / "items")
    assert f"Results: {out.out}" in log
    assert (out.summary["equation"]["ok"], out.summary["run"]["calls"]) == (5, 0)
    assert (out.out / "report.html").is_file()
    assert api.stats()["requests"] == 5


def test_what_is_refused_stands_in_the_log_of_the_job(scrapyd: Scrapyd, api: ApiServer, tmp_path: Path) -> None:
    scrapyd.kill()
    config = scrapyd.home / "scrapyd.conf"
    config.write_text(config.read_text().replace("items_dir =", "items_dir = items"))
    scrapyd.start()
    deploy(scrapyd, tmp_path / "tree")
    urls = write_list(tmp_path / "list.txt", [api.url("/items/1")])
    pruned = "where scrapyd deletes files"
    cases: list[tuple[dict[str, object], str]] = [
        ({"urls": "/none.txt"}, "/none.txt"),
        ({"url": urls}, "did you mean -a urls?"),
        ({"urls": urls, "out": "logs/apifetch/apifetch/mine"}, pruned),
        ({"urls": urls, "out": scrapyd.home / "items" / "apifetch" / "apifetch"}, pruned),
    ]
    for number, (arguments, said) in enumerate(cases):
        scrapyd.schedule(f"refused-{number}", **arguments)
        log = scrapyd.wait_for_end(f"refused-{number}")
        assert said in log
        assert log.endswith("Exit code 2: nothing was requested\n")
    assert api.stats()["requests"] == 0
