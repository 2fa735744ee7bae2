"""Secrets in every place where a user may put one, against a server that does everything wrong, at DEBUG.

They may stand where the user wrote them, in failed.jsonl and in the ledger's table `requests`, which must repeat a
call; and nowhere else.
"""

from __future__ import annotations

import json
import random
import sqlite3
from base64 import b64encode
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from tests.harness import Crawl, CrawlResult
from tests.hostile.table import BEHAVIOURS
from tests.hostile.trial import SETTINGS, HostileProcess

if TYPE_CHECKING:
    from tests.harness import Running
    from tests.hostile.behaviour import Behaviour

pytestmark = [pytest.mark.check, pytest.mark.timeout(300), pytest.mark.xdist_group("hostile")]

WORD: Final = "canary-of-the-"
"""What every secret begins with, so that one is found in part, too; base64 of it at any offset follows."""

FORMS: Final = (WORD, *(b64encode(b"." * before + WORD.encode()).decode()[4:-4] for before in range(3)))

PLACES: Final = {"ledger.sqlite", "failed.jsonl"}
"""The files that must repeat a call."""

PRIVATE: Final = "requests"
"""The table that must."""


def line(behaviour: Behaviour, url: str) -> dict[str, Any]:
    """The list's line: a secret in the URL's credentials, its query, a header, the body, and one that is passed."""
    method = "POST" if behaviour.method == "GET" and behaviour.name.startswith("json") else behaviour.method
    call: dict[str, Any] = {
        "url": url.replace("://", f"://me:{WORD}credentials@") + f"?api_key={WORD}query",
        "method": method,
        "headers": {**behaviour.headers, "X-Api-Key": f"{WORD}header", "X-Passed": "${PASSED}"},
    }
    if method != "GET":
        call["body"] = f"{WORD}body"
    return call


DAMAGED: Final = (
    f'{{"url": "http://me:{WORD}line@127.0.0.1:99999/?token={WORD}line"}}',
    f'{{"url": "http://127.0.0.1/?token={WORD}line", "headers": {{"Authorization": ["a", "{WORD}line"]}}, "no": 1}}',
    f'{{"url": "http://127.0.0.1/", "headers": {{"X-Api-Key": "{WORD}line", "Cookie": "{WORD}line"}}, "colour": 1}}',
    f'{{"url": "http://me:{WORD}/line@127.0.0.1/"}}',
    f'{{"url": "http://me:{WORD}?line@127.0.0.1/", "colour": 1',
    f'{{"url": "http://me:{WORD} line@127.0.0.1/"}}',
    f"https://me:{WORD}line@127.0.0.1/?access_token={WORD}line",
)
"""Lines that cannot be read."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole table in one crawl; and the command lines of the processes that it started."""
    crawl = Crawl(tmp_path_factory.mktemp("canary"))
    with HostileProcess() as server:
        calls = [json.dumps(line(behaviour, server.urls[behaviour.name])) for behaviour in BEHAVIOURS]
        path = crawl.cwd / "items.jsonl"
        random.Random(7).shuffle(calls)  # a host that only fails is called by one at a time
        path.write_text("".join(f"{text}\n" for text in (*calls, *DAMAGED)))
        running = crawl.start(
            path, workers=50, pass_env="PASSED", hosts=[urlsplit(url).netloc for url in server.urls.values()],
            headers=json.dumps({"X-Argument": f"{WORD}argument", "X-Env": "Bearer ${TOKEN}"}),
            settings={
                **SETTINGS, "DOWNLOAD_TIMEOUT": 1, "APIFETCH_STALL_S": 0.5, "RETRY_TIMES": 1,
                "LOG_LEVEL": "DEBUG", "APIFETCH_CA_FILE": server.ca_file,
                "HTTPAUTH_USER": "me", "HTTPAUTH_PASS": f"{WORD}setting", "AWS_SECRET_ACCESS_KEY": f"{WORD}setting",
                "APIFETCH_PARAMS": json.dumps({"key": f"{WORD}params", "plain": "${TOKEN}"}),
            },
            env={"PASSED": f"{WORD}list-variable", "TOKEN": f"{WORD}environment"},
        )  # fmt: skip
        started: dict[int, bytes] = {}
        running.wait_for(lambda: started.update(command_lines(running)) or started)
        result = running.wait(timeout_s=280)
    yield result, started
    crawl.close()


def command_lines(running: Running) -> dict[int, bytes]:
    """What `ps` shows of the processes that the crawl started; of itself it shows what the user typed.

    A process that was forked and has not begun its own program yet shows its parent's line.
    """
    own = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
    shown = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            line = (stat.parent / "cmdline").read_bytes()
            if int(fields[1]) == running.process.pid and line != own:
                shown[int(stat.parent.name)] = line
    return shown


def holders(texts: dict[str, bytes]) -> list[str]:
    return [place for place, text in texts.items() if any(form.encode() in text for form in FORMS)]


def test_no_secret_is_written_or_printed_but_where_a_call_must_be_repeated(ended: Any) -> None:
    result: CrawlResult = ended[0]
    assert result.returncode == 4
    assert len(result.rows()) == len(BEHAVIOURS) + len(DAMAGED)
    written = {path.name: path.read_bytes() for path in result.out.rglob("*") if path.is_file()}
    assert len(written) > 100
    printed = {"stdout": result.stdout.encode(), "stderr": result.stderr.encode()}
    assert b"Overridden settings" in printed["stderr"]
    assert b"DEBUG: Retrying" in printed["stderr"]
    assert set(holders({**written, **printed})) == PLACES


def test_in_the_ledger_one_table_alone_holds_them(ended: Any) -> None:
    result: CrawlResult = ended[0]
    with closing(sqlite3.connect(f"{(result.out / 'ledger.sqlite').as_uri()}?mode=ro&immutable=1", uri=True)) as ledger:
        tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        texts = {name: repr(ledger.execute(f"SELECT * FROM {name}").fetchall()).encode() for name in tables}
    assert {"calls", "records", "runs", "timeline", "about"} <= set(texts)
    assert holders(texts) == [PRIVATE]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads what the system says of processes")
def test_no_process_that_a_run_starts_shows_them(ended: Any) -> None:
    started: dict[int, bytes] = ended[1]
    assert started
    assert holders({str(pid): line for pid, line in started.items()}) == []


def test_what_others_may_read_of_the_failed_is_masked(ended: Any) -> None:
    result: CrawlResult = ended[0]
    urls = {row["url"] for row in result.rows("select url from records where outcome != 'invalid'")}
    assert all(":***@" in url and "api_key=***" in url for url in urls)
    failed = result.lines("failed.jsonl")
    assert failed
    assert all(f"{WORD}credentials@" in line["url"] for line in failed)  # it repeats the call
    assert all(line["headers"]["X-Passed"] == ["${PASSED}"] for line in failed)
