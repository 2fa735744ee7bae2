"""Credentials that die in the middle of a run, or were dead from the start: what the server sees, and what is left."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.audit import audit, outcomes, refused
from tests.gate import Gate
from tests.harness import STOCK_HANDLER
from tests.hostile.certificates import Signed
from tests.scripted import HANG_UP, OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult

LINES = 400
WORKERS = 20
HANDFUL = 5
HEADERS = '{"Authorization": "Bearer ${TOKEN}"}'


def thorough(*cases: tuple[Any, ...]) -> list[Any]:
    """Cases for `make check`."""
    return [pytest.param(*case, marks=pytest.mark.check) for case in cases]


def urls(api: ApiServer, count: int = LINES, query: str = "size=50&delay_ms=5") -> list[str]:
    return [api.url(f"/private/{n}?{query}") for n in range(count)]


def issuing(tmp_path: Path, api: ApiServer, calls: int) -> str:
    """A command that prints a new token each time that it is asked, good for so many calls."""
    script = tmp_path / "issue.py"
    script.write_text(
        "import pathlib, urllib.request\n"
        f"count = pathlib.Path({str(tmp_path / 'issued')!r})\n"
        "number = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(number + 1))\n"
        "token = f'token-number-{number}'\n"
        f"url = f'{api.origin}/_tokens?token={{token}}&calls={calls}'\n"
        "urllib.request.urlopen(urllib.request.Request(url, method='PUT'))\n"
        "print(f'TOKEN={token}')\n"
    )
    return f"{sys.executable} {script}"


def private_calls(api: ApiServer) -> int:
    routes: dict[str, int] = api.stats()["routes"]
    return routes["private"]


@pytest.mark.parametrize(("method", "refusal"), [("GET", 401), ("POST", 403), *thorough(("POST", 401), ("GET", 403))])
def test_a_token_that_dies_is_asked_for_again_and_nothing_fails(
    api: ApiServer, crawl: Crawl, tmp_path: Path, method: str, refusal: int
) -> None:
    """Three tokens for the list; each death costs the calls in flight once more, and not one of the retries."""
    window = 10
    lines = [{"url": url, "method": method} for url in urls(api, query=f"size=50&delay_ms=5&refusal={refusal}")]
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = crawl(
        "items.jsonl", hosts=api.netloc, headers=HEADERS, retries=0, workers=WORKERS,
        settings={
            "APIFETCH_SECRET_COMMAND": issuing(tmp_path, api, LINES // 3 + 1), "APIFETCH_REFUSED_WINDOW": window,
            "APIFETCH_DURABILITY": "process",
        },
    )  # fmt: skip
    audit(result, 0)
    assert (tmp_path / "issued").read_text() == "3"
    assert private_calls(api) <= LINES + 2 * (WORKERS + window)
    assert "token-number" not in result.stderr


def test_a_dead_token_costs_the_calls_in_flight_and_the_rest_is_left(
    api: ApiServer, crawl: Crawl, tmp_path: Path
) -> None:
    api.put_token("first-token-of-all", calls=100)
    env_file = tmp_path / ".env"
    env_file.write_text("TOKEN=first-token-of-all")
    how: dict[str, Any] = {"hosts": api.netloc, "headers": HEADERS, "env_file": env_file, "workers": WORKERS}
    result = crawl(urls(api), **how)
    summary = audit(result, 6)
    assert summary["stop_reason"] == "credentials"
    assert private_calls(api) <= 100 + WORKERS + HANDFUL
    count = outcomes(result)
    assert count["ok"] == 100
    assert 1 <= count["http_error"] <= HANDFUL  # those that tried: their bodies say what the API says
    assert "Exit code 6" in result.stderr
    # put right, the same command goes on
    api.put_token("second-token")
    env_file.write_text("TOKEN=second-token")
    audit(crawl("items.txt", **how), 0)


@pytest.mark.parametrize(
    ("workers", "count"), [(WORKERS, LINES), *thorough((1, LINES), (1, 1), (1, 3), (WORKERS, 1), (WORKERS, 3))]
)
def test_a_token_that_was_never_good_is_tried_no_more_than_needed(
    api: ApiServer, crawl: Crawl, workers: int, count: int
) -> None:
    result = crawl(urls(api, count), hosts=api.netloc, headers=HEADERS, workers=workers, env={"TOKEN": "not-good"})
    summary = audit(result, 6)
    assert private_calls(api) <= min(workers, count) + HANDFUL
    assert outcomes(result)["http_error"] <= HANDFUL
    assert summary["equation"]["ok"] == 0


@pytest.mark.parametrize(("workers", "status"), [(4, 401), *thorough((1, 401), (1, 403), (4, 403))])
def test_a_call_that_is_refused_for_its_own_sake_stops_nothing(
    api: ApiServer, crawl: Crawl, status: int, workers: int
) -> None:
    """Others get in meanwhile: the refusal is that call's answer, and only the first has cost more than its call."""
    api.put_token("good-token")
    lines = urls(api, 40, "size=50")
    for at in (5, 6, 20, 30, 39):
        lines[at] = api.url(f"/status/{status}?n={at}")
    result = crawl(lines, hosts=api.netloc, headers=HEADERS, workers=workers, env={"TOKEN": "good-token"})
    summary = audit(result, 8)
    assert outcomes(result) == Counter(ok=35, http_error=5)
    called = sum(api.seen("/").values())
    assert called <= 40 + (0 if status == 403 else 2 * workers + 2)
    assert summary["run"]["calls"] == called


@pytest.mark.parametrize(("count", "code"), [(60, 6), *thorough((10, 8))])
def test_403_is_about_credentials_when_a_whole_window_says_so(
    api: ApiServer, crawl: Crawl, count: int, code: int
) -> None:
    """Then none of them is that line's answer; when the list is over before, all are."""
    lines = urls(api, count, "size=50&refusal=403")
    result = crawl(
        lines, hosts=api.netloc, headers=HEADERS, workers=5, env={"TOKEN": "not-good"},
        settings={"APIFETCH_REFUSED_WINDOW": 30},
    )  # fmt: skip
    audit(result, code)
    assert outcomes(result)["http_error"] == (1 if code == 6 else count)
    assert private_calls(api) <= min(count, 30 + 5 + HANDFUL)


def test_what_carries_no_credentials_is_answered_as_ever(api: ApiServer, crawl: Crawl) -> None:
    """A host that refuses everybody is no reason to stop a list of many hosts."""
    lines = [api.url(f"/status/403?n={n}") for n in range(30)] + [api.url("/items/1")]
    result = crawl(lines, settings={"APIFETCH_REFUSED_WINDOW": 5})
    audit(result, 8)
    assert outcomes(result) == Counter(ok=1, http_error=30)


@pytest.mark.check
def test_with_a_window_of_0_a_refusal_is_an_answer(api: ApiServer, crawl: Crawl) -> None:
    result = crawl(
        urls(api, 30, "size=50"), hosts=api.netloc, headers=HEADERS, env={"TOKEN": "not-good"},
        settings={"APIFETCH_REFUSED_WINDOW": 0},
    )  # fmt: skip
    audit(result, 8)
    assert outcomes(result) == Counter(http_error=30)
    assert private_calls(api) == 30


@pytest.mark.check
def test_with_scrapys_parts_a_token_is_renewed_too(api: ApiServer, crawl: Crawl, tmp_path: Path) -> None:
    result = crawl(
        urls(api, 100), hosts=api.netloc, headers=HEADERS, workers=WORKERS, retries=0,
        settings={
            "APIFETCH_SECRET_COMMAND": issuing(tmp_path, api, 60), "SCHEDULER": "scrapy.core.scheduler.Scheduler",
            "DOWNLOADER": "scrapy.core.downloader.Downloader", "ITEM_PROCESSOR": "scrapy.pipelines.ItemPipelineManager",
            **STOCK_HANDLER,
        },
    )  # fmt: skip
    audit(result, 0)
    assert private_calls(api) <= 100 + WORKERS + HANDFUL


@pytest.mark.check
def test_a_signal_ends_a_run_that_waits_for_a_command_and_the_command_too(
    api: ApiServer, crawl: Crawl, tmp_path: Path
) -> None:
    api.put_token("first-token", calls=10)
    script, pid = tmp_path / "hang.py", tmp_path / "pid"
    script.write_text(
        "import os, pathlib, sys, time\n"
        f"pid, first = pathlib.Path({str(pid)!r}), pathlib.Path({str(tmp_path / 'first')!r})\n"
        "if first.exists():\n"
        "    pid.write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "first.touch()\n"
        "print('TOKEN=first-token')\n"
    )
    lines = [{"url": url, "method": "POST"} for url in urls(api, 40)]
    (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    how: dict[str, Any] = {"hosts": api.netloc, "headers": HEADERS}
    running = crawl(
        "items.jsonl", wait=False, **how,
        settings={"APIFETCH_SECRET_COMMAND": f"{sys.executable} {script}", "APIFETCH_DRAIN_S": 1},
    )  # fmt: skip
    running.wait_for(lambda: pid.exists() and pid.read_text())
    running.signal(signal.SIGTERM)
    result = running.wait()
    audit(result, 75)
    assert {name: count for name, count in outcomes(result).items() if name != "pending"} == {"ok": 10}
    api.put_token("second-token")
    audit(crawl("items.jsonl", env={"TOKEN": "second-token"}, **how), 0)  # what was refused was not carried out
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_secret_that_cannot_be_read_is_told_before_the_first_request(
    api: ApiServer, crawl: Crawl, tmp_path: Path
) -> None:
    (tmp_path / "bad.env").write_text("TOKEN=a\nnonsense-and-secret\n")
    how: dict[str, Any] = {"hosts": api.netloc, "headers": HEADERS}
    result: CrawlResult = crawl(urls(api, 1), env_file=tmp_path / "bad.env", **how)
    refused(result, 2, "env_file", "line 2 is not NAME=VALUE")
    assert "nonsense" not in result.stderr
    failing = crawl(urls(api, 1), settings={"APIFETCH_SECRET_COMMAND": "false"}, **how)
    refused(failing, 2, "APIFETCH_SECRET_COMMAND: false ended with exit code 1")
    assert api.stats()["requests"] == 0


BLOCKED_AGAIN = """
import pathlib, sys

here = pathlib.Path(sys.argv[1])
if (here / "asked").exists():
    print((here / "answer").read_text())  # a fifo: until somebody writes into it
else:
    (here / "asked").touch()
    print("TOKEN=old-and-dead")
"""


def blocked(tmp_path: Path) -> tuple[str, Path]:
    """A command that gives a dead token, and the next time waits for what is written into a fifo."""
    os.mkfifo(tmp_path / "answer")
    (tmp_path / "blocked.py").write_text(BLOCKED_AGAIN)
    return f"{sys.executable} {tmp_path / 'blocked.py'} {tmp_path}", tmp_path / "answer"


def netlocs(*servers: Scripted | Gate) -> str:
    return ",".join(origin.partition("://")[2] for server in servers for origin in server.origins)


def takes_new(heard: Heard) -> Says:
    return OK if heard.headers.get("authorization") == "Bearer new" else Says(status=401)


def test_a_host_that_refuses_the_credentials_takes_no_worker_from_another(crawl: Crawl, tmp_path: Path) -> None:
    """The list begins with a host whose token is dead; while a new one is waited for, all workers are at the other."""
    workers, rounds = 4, 5
    command, fifo = blocked(tmp_path)
    with Scripted(takes_new) as shut, Gate(full=workers, fillings=rounds, addresses=["127.0.0.2"]) as other:
        lines = [shut.url(f"/{n}") for n in range(30)]
        lines += [f"{other.origins[0]}/{n}" for n in range(workers * rounds)]
        running = crawl(
            lines, wait=False, workers=workers, retries=0, hosts=netlocs(shut, other), headers=HEADERS,
            settings={"APIFETCH_SECRET_COMMAND": command},
        )  # fmt: skip
        running.wait_for(lambda: other.requests.total() == workers * rounds)
        assert len(shut.heard) <= workers
        fifo.write_text("TOKEN=new")
        result = running.wait()
    audit(result, 0)
    assert other.fillings_left == 0, "each time all workers were there"
    assert len(shut.heard) <= 30 + workers


def test_what_was_withheld_has_its_answer_at_the_end_whatever_the_scheme(crawl: Crawl, tmp_path: Path) -> None:
    authority = Signed.make("authority", authority=True)
    (tmp_path / "ca.pem").write_bytes(authority.chain)
    context = Signed.make("good", issuer=authority).context(tmp_path)
    refuses = Says(status=403)
    with Scripted(lambda _: refuses) as plain, Scripted(lambda _: refuses, context=context) as secure:
        result = crawl(
            [server.url(f"/{n}") for n in range(4) for server in (plain, secure)],
            hosts=netlocs(plain, secure), headers=HEADERS, env={"TOKEN": "not-good"},
            settings={"APIFETCH_CA_FILE": tmp_path / "ca.pem"},
        )  # fmt: skip
    audit(result, 8)
    assert outcomes(result) == Counter(http_error=8)


DROPPING = """
from scrapy.exceptions import IgnoreRequest

class DropSome:
    def process_request(self, request):
        if request.url.endswith(("3", "7")):
            raise IgnoreRequest("not this one")
"""


def test_a_trial_that_is_dropped_or_breaks_makes_room_for_the_next(crawl: Crawl, tmp_path: Path) -> None:
    """Whichever call goes first with the new token: a middleware drops some, and the server hangs up on two."""
    (tmp_path / "dropping.py").write_text(DROPPING)
    broken: list[str] = []

    def answer(heard: Heard) -> Says:
        says = takes_new(heard)
        if says.status == 200 and len(broken) < 2:
            broken.append(heard.path)
            return HANG_UP
        return says

    (tmp_path / "renew.py").write_text(
        "import pathlib\nseen = pathlib.Path('seen')\n"
        "print('TOKEN=new' if seen.exists() else 'TOKEN=old')\nseen.touch()"
    )
    with Scripted(answer) as server:
        result = crawl(
            [server.url(f"/{n}") for n in range(20)], workers=4, retries=1, hosts=netlocs(server), headers=HEADERS,
            settings={
                "APIFETCH_SECRET_COMMAND": f"{sys.executable} {tmp_path / 'renew.py'}",
                "DOWNLOADER_MIDDLEWARES": {"dropping.DropSome": 940},
            },
        )  # fmt: skip
        audit(result, 8)
    assert outcomes(result) == Counter(ok=16, rejected=4)
    assert len(broken) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signal_while_a_door_is_shut_leaves_what_waits_before_it(crawl: Crawl, tmp_path: Path, method: str) -> None:
    command, _ = blocked(tmp_path)
    with Scripted(takes_new) as shut, Scripted(lambda _: OK, addresses=["127.0.0.2"]) as other:
        lines = [{"url": shut.url(f"/{n}"), "method": method} for n in range(9)]
        lines += [{"url": other.url(f"/{n}"), "method": method} for n in range(9)]
        (crawl.cwd / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        how: dict[str, Any] = {"workers": 4, "hosts": netlocs(shut, other), "headers": HEADERS}
        running = crawl("items.jsonl", wait=False, settings={"APIFETCH_SECRET_COMMAND": command}, **how)
        running.wait_for(lambda: len(other.heard) == 9 and outcomes(running.output)["ok"] == 9)
        running.signal(signal.SIGINT)
        summary = audit(running.wait(), 75)
        assert (summary["equation"]["ok"], summary["equation"]["left"]) == (9, 9)
        assert len(shut.heard) <= 4
        audit(crawl("items.jsonl", env={"TOKEN": "new"}, **how), 0)
        assert len(other.heard) == 9
