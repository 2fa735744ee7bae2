"""The project from Python: `crawler.fetch`, `crawler.results`, and the `apifetch` script from any folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import crawler
from crawler.console import is_list
from crawler.exceptions import ArgumentError, BodyError, CrawlError, OtherListError
from crawler.library.child import as_text, crawl_command
from tests.audit import audit_files
from tests.harness import Output
from tests.test_export import BODIES, ledger, run
from tests.test_house import heavy_after

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

SOON = {"APIFETCH_RETRY_BASE_S": 0.02, "APIFETCH_RETRY_CAP_S": 0.1}


def test_calls_given_as_objects_are_fetched_and_fetched_on(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Twice in one session, with keys that no command line shows, from a folder that is no project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    calls: list[Any] = [
        api.url("/items/1"),
        {"url": api.url("/echo/2"), "method": "POST", "body": {"a": 1}, "id": "k", "meta": {"country": "de"}},
        api.url("/missing/3"),
        "bad line",
    ]
    how: dict[str, Any] = {"workers": 5, "headers": {"X-Key": "secret-of-mine"}, "settings": SOON}
    first = crawler.fetch(iter(calls), out="50%", **how)
    assert "secret-of-mine" not in str(first.summary)
    assert (first.exit_code, first.ok, first.failed, first.left) == (8, 2, 1, 0)
    assert first.out.name == "50%"
    audit_files(Output(tmp_path / "50%"))
    assert "4 lines = 2 ok" in capfd.readouterr().err

    found = list(first.results())
    assert [(result.line, result.outcome, result.key) for result in found] == [
        (1, "ok", None), (2, "ok", "k"), (3, "http_error", None), (4, "invalid", None),
    ]  # fmt: skip
    sent = found[1].json()
    assert sent["method"] == "POST"
    assert ["X-Key", "secret-of-mine"] in sent["headers"]
    assert found[1].meta == {"country": "de"}

    written_ns = (tmp_path / "50%" / "list.jsonl").stat().st_mtime_ns
    assert crawler.fetch(calls, out="50%", quiet=True, **how).summary["run"]["calls"] == 0
    assert (tmp_path / "50%" / "list.jsonl").stat().st_mtime_ns == written_ns  # known by its lines
    again = crawler.fetch([*calls, api.url("/items/4")], out="50%", quiet=True, **how)
    assert (again.ok, again.summary["run"]["calls"]) == (3, 1)
    assert capfd.readouterr().err == ""
    assert [path for path in (tmp_path / "50%").iterdir() if path.suffix == ".tmp"] == []

    with pytest.raises(
        CrawlError, match=r"^worker='5': expected an argument that exists \(did you mean -a workers\?\)$"
    ):
        crawler.fetch("nowhere.txt", worker=5)
    with pytest.raises(ArgumentError, match="out is missing"):
        crawler.fetch(calls)


def test_ctrl_c_stops_the_crawl_in_good_order(api: ApiServer, tmp_path: Path) -> None:
    def interrupt() -> None:
        while not api.stats()["held"]:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    settings = {"APIFETCH_DRAIN_S": 0}
    with pytest.raises(KeyboardInterrupt):
        crawler.fetch([api.url("/items/1"), api.url("/hang/2")], out=tmp_path / "out", settings=settings)
    thread.join()
    assert Output(tmp_path / "out").summary["stop_reason"] == "shutdown"


def test_results_are_the_records_and_their_bodies(tmp_path: Path) -> None:
    out = run(tmp_path)
    found = crawler.results(out)
    assert [result.record for result in found] == ledger(out)
    assert len(found) == len(list(found))
    one, two, three, four, *_ = found
    assert (one.body, two.text, three.text, four.body) == (BODIES["1"], BODIES["2"].decode(), None, b"")
    assert one.json()["id"] == 1
    assert repr(one) == "<Result ok 200 http://api.test/1>"
    with pytest.raises(AttributeError, match="a record has no 'stats'; it has run, source"):
        _ = one.stats
    (timeout,) = found.only("timeout")
    assert timeout.body is None
    with pytest.raises(ValueError, match="there is no body; the outcome is timeout"):
        timeout.json()
    assert [result.status for result in found.only(status="404,5xx")] == [404]
    assert len(found.only("ok").only(status=[404])) == 0
    (out / one.location).unlink()
    with pytest.raises(BodyError):
        _ = one.body
    with pytest.raises(OtherListError):
        list(crawler.results(tmp_path))
    with pytest.raises(ArgumentError, match=r"expected the working directory of that store, such as out/s3/b/items$"):
        crawler.results("s3://b/items/")


def test_results_become_a_typed_table(tmp_path: Path) -> None:
    frame = crawler.results(run(tmp_path)).to_pandas(bodies=True)
    assert [str(frame[name].dtype) for name in ("status", "share", "flag", "url")] == [
        "Int64", "Float64", "boolean", "string",
    ]  # fmt: skip
    assert str(frame["started_at"].dtype).startswith("datetime64[")
    assert str(frame["started_at"].dt.tz) == "UTC"
    assert list(frame["rank"][:3]) == [1, -2, frame["rank"][2]]
    assert frame["body"][0] == BODIES["1"].decode()


def test_a_table_has_the_bodies_in_the_order_of_the_records_or_says_which_is_missing(tmp_path: Path) -> None:
    found = crawler.results(run(tmp_path))
    frame = found.to_pandas(bodies=True)
    assert list(frame["url"]) == [result.url for result in found]
    texts = frame["body"].fillna(frame["text"]).fillna("")
    assert list(texts) == [result.text or "" for result in found]
    (tmp_path / "out" / next(iter(found)).location).unlink()
    with pytest.raises(BodyError, match=r"responses/.*No such file"):
        found.to_pandas(bodies=True)
    assert len(found.to_pandas()) == len(found)


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import crawler; assert not {'scrapy', 'twisted', 'msgspec', 'sqlite3'} & set(sys.modules)"
    assert heavy_after(program) == []
    assert heavy_after("import crawler; crawler.fetch, crawler.results") == []


TEXTS: list[tuple[object, str]] = [
    ("a", "a"), (5, "5"), (0.5, "0.5"), (True, "true"), ({"a": "é"}, '{"a": "é"}'), (["a", "b"], "a,b"),
    ((404, "5xx"), "404,5xx"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_a_python_value_is_said_as_the_command_line_has_it(value: object, text: str) -> None:
    assert as_text(value) == text
    assert crawl_command({"x": value, "y": None}, {})[5:] == ["-a", f"x={text}"]


def test_the_script_knows_lists_from_commands() -> None:
    assert all(map(is_list, ("urls.txt", "./urls", "lists/a", "-", "https://x/list")))
    assert not any(map(is_list, ("crawl", "verify", "export", "list", "--help")))


def test_the_script_works_in_any_folder(api: ApiServer, crawl: Crawl) -> None:
    (crawl.cwd / "urls.txt").write_text(api.url("/items/1") + "\n")
    environment = crawl._environment(crawl.cwd, "crawler.settings")
    del environment["SCRAPY_SETTINGS_MODULE"]
    script = [sys.executable, "-c", "from crawler.console import main; main()"]
    for words in (["urls.txt", "-a", "workers=2"], ["verify", "out/urls"]):
        done = subprocess.run([*script, *words], cwd=crawl.cwd, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
