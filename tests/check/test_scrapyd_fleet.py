"""`scrapy fleet --scrapyd`: two real scrapyds, one of them with a password, and what may happen to them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from crawler.items import Shard
from tests.harness import ROOT, ApiServer, Output, write_list
from tests.scrapyd_server import PASSWORD, PATIENCE_S, USER, Relay, Scrapyd, deploy, wait_until
from tests.test_crawl_fleet import PASSES, Dam
from tests.weed import needs_weed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.prefix import Prefix

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]  # several jobs each, on a machine with much else to do

LINES = 300
DELAY_MS = 100  # with four workers the list takes 7.5 s at least: time enough to kill in the middle


@pytest.fixture(scope="module")
def deployed(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scrapyd, Scrapyd]]:
    """Each with its own directories; the project is deployed to both, in one version."""
    home = tmp_path_factory.mktemp("scrapyds")
    servers = Scrapyd(home / "a"), Scrapyd(home / "b", open_to_all=True)
    for server in servers:
        deploy(server, home / "tree")
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def scrapyds(deployed: tuple[Scrapyd, Scrapyd]) -> Iterator[tuple[Scrapyd, Scrapyd]]:
    """Both there, with nothing of an earlier test under way."""
    yield deployed
    for server in deployed:
        server.close()
        server.start()


class Fleet:
    """The command, in tmp_path."""

    def __init__(self, tmp_path: Path, urls: object, *arguments: str, out: object = None) -> None:
        self.log = tmp_path / "fleet.log"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SCRAPY_SETTINGS_MODULE": "crawler.settings",
        }
        command = [
            sys.executable,
            "-m",
            "scrapy",
            "fleet",
            str(urls),
            "-a",
            f"out={out or tmp_path / 'out'}",
            *arguments,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()


def at(*servers: Scrapyd) -> list[str]:
    with_password = [server.url.replace("//", f"//{USER}:{PASSWORD}@") for server in servers[:1]]
    return [word for url in (*with_password, *(server.url for server in servers[1:])) for word in ("--scrapyd", url)]


@pytest.mark.parametrize("dies", ["the machine", "scrapyd alone"])
def test_a_node_that_is_killed_is_replaced(
    scrapyds: tuple[Scrapyd, Scrapyd], api: ApiServer, tmp_path: Path, dies: str
) -> None:
    """Every line has one record. Of a machine, nothing goes on; of scrapyd alone, its job does, and is waited for."""
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    fleet = Fleet(tmp_path, urls, "-a", "workers=4", *at(*scrapyds))
    wait_until(lambda: api.stats()["requests"] >= LINES // 4, log=fleet.log)
    wait_until((tmp_path / "out" / "ledger-2-of-2.sqlite").exists, log=fleet.log)
    if dies == "the machine":
        scrapyds[1].close()
    else:
        scrapyds[1].kill()
    assert fleet.wait() == 0, fleet.said
    out = Output(tmp_path / "out")
    rows = sorted((row["line"], row["outcome"]) for row in out.rows())
    assert rows == [(line, "ok") for line in range(1, LINES + 1)], fleet.said
    assert len(out.envelopes()) == LINES
    equation = out.summary["equation"]
    assert (equation["lines"], equation["ok"], equation["left"]) == (LINES, LINES, 0)
    assert "it is gone" in fleet.said
    assert "part 2/2 was on" in fleet.said
    assert PASSWORD not in fleet.said


def test_ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(
    scrapyds: tuple[Scrapyd, Scrapyd], api: ApiServer, tmp_path: Path
) -> None:
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    before = [len(server.finished()) for server in scrapyds]
    fleet = Fleet(tmp_path, urls, "-a", "workers=4", *at(*scrapyds))
    wait_until(lambda: api.stats()["requests"] >= LINES // 4, log=fleet.log)
    wait_until(lambda: all((tmp_path / "out" / f"ledger-{n}-of-2.sqlite").exists() for n in (1, 2)), log=fleet.log)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.wait() == 75, fleet.said
    assert [len(server.finished()) for server in scrapyds] == [jobs + 1 for jobs in before]
    done = api.stats()["requests"]
    assert 0 < done < LINES
    again = Fleet(tmp_path, urls, "-a", "workers=4", *at(*scrapyds))
    assert again.wait() == 0, again.said
    assert {row["outcome"] for row in Output(tmp_path / "out").rows()} == {"ok"}
    assert Output(tmp_path / "out").summary["equation"]["ok"] == LINES
    assert all(times == 1 for times in api.seen("/items/").values())  # what was under way came to its end


@pytest.fixture
def dam() -> Iterator[Dam]:
    with Dam() as dam:
        yield dam


def test_a_second_ctrl_c_kills_the_jobs(scrapyds: tuple[Scrapyd, Scrapyd], dam: Dam, tmp_path: Path) -> None:
    """Which had been cancelled once, and wait for calls on the wire; nothing is lost by it."""
    urls = write_list(tmp_path / "list.txt", (f"{dam.origin}/items/{n}" for n in range(60)))
    options = ("-a", "workers=4", "-s", "APIFETCH_DRAIN_S=600", "-a", "timeout=600", *at(*scrapyds))
    fleet = Fleet(tmp_path, urls, *options)
    wait_until(lambda: len(dam.requests) == PASSES + 4, log=fleet.log)
    jobs = [job for _, job in sorted(re.findall(r"part (.)/2: job (\S+) on", fleet.said))]  # whichever began first
    fleet.process.send_signal(signal.SIGINT)
    logs = [server.home / "logs/apifetch/apifetch" / f"{job}.log" for server, job in zip(scrapyds, jobs, strict=True)]
    wait_until(lambda: all('"is_stopping": true' in log.read_text() for log in logs), log=fleet.log)
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.wait() == 75, fleet.said
    for server, job in zip(scrapyds, jobs, strict=True):
        assert "Exit code" not in server.wait_for_end(job)
    dam.is_open.set()
    again = Fleet(tmp_path, urls, *options)
    assert again.wait() == 0, again.said
    assert [row["outcome"] for row in Output(tmp_path / "out").rows()] == ["ok"] * 60
    assert len(dam.requests) <= 60 + 4 + PASSES  # what was on the wire, or on its way to the ledger


@pytest.mark.parametrize("what", ["the network", "scrapyd"])
def test_a_node_that_comes_back_disturbs_nobody(
    scrapyds: tuple[Scrapyd, Scrapyd], dam: Dam, tmp_path: Path, what: str
) -> None:
    """Its part is another job's by then, which waits for its turn: the former job is cancelled, or said to go on."""
    urls = write_list(tmp_path / "list.txt", (f"{dam.origin}/items/{n}" for n in range(60)))
    first, second = scrapyds
    relay = Relay(second.port)
    telling = ("-s", "APIFETCH_PROGRESS_S=0.1", "-s", "APIFETCH_DRAIN_S=0", "-a", "timeout=600")
    servers = [*at(first), "--scrapyd", relay.url]
    fleet = Fleet(tmp_path, urls, "-a", "workers=4", *telling, *servers)
    wait_until(lambda: len(dam.requests) == PASSES + 4, log=fleet.log)  # two each are held
    wait_until(lambda: "done: 12 ok, 0 failed" in fleet.said, log=fleet.log)  # as the logs tell it
    former = re.search(r"part 2/2: job (\S+) on", fleet.said)
    assert former is not None
    if what == "scrapyd":
        second.kill()
    relay.cut()
    wait_until(lambda: "part 2/2: it waits for its turn on" in fleet.said, log=fleet.log)
    relay.join()
    if what == "scrapyd":
        second.start()
        said = f"was restarted and knows no job {former[1]} any more"
    else:
        said = f"part 2/2: job {former[1]} on {relay.url.rstrip('/')} is cancelled"
    wait_until(lambda: said in fleet.said, log=fleet.log)
    if what == "the network":
        assert "Exit code 75" in second.wait_for_end(former[1])
    dam.is_open.set()
    assert fleet.wait() == 0, fleet.said
    relay.cut()
    assert fleet.said.count(said) == 1, fleet.said
    assert re.search(r"calls by 2 processes in .+; 1 part started again", fleet.said.splitlines()[-1]), fleet.said
    out = Output(tmp_path / "out")
    assert [row["outcome"] for row in out.rows()] == ["ok"] * 60
    assert out.summary["fleet"]["restarts"] == 1
    # What was cancelled had two calls on the wire; the process that went on by itself lost none.
    assert len(dam.requests) == 60 + (2 if what == "the network" else 0)


def test_a_job_that_a_restarted_scrapyd_has_forgotten_is_followed_by_its_log(
    scrapyds: tuple[Scrapyd, Scrapyd], dam: Dam, tmp_path: Path
) -> None:
    """It is back before its part was moved: nothing is made twice."""
    urls = write_list(tmp_path / "list.txt", (f"{dam.origin}/items/{n}" for n in range(60)))
    first, second = scrapyds
    relay = Relay(second.port)
    fleet = Fleet(tmp_path, urls, "-a", "workers=4", "-a", "timeout=600", *at(first), "--scrapyd", relay.url)
    wait_until(lambda: len(dam.requests) == PASSES + 4, log=fleet.log)
    relay.is_open.clear()
    second.kill()
    second.start()
    relay.is_open.set()
    wait_until(lambda: "any more; its log is followed" in fleet.said, log=fleet.log)
    dam.is_open.set()
    assert fleet.wait() == 0, fleet.said
    relay.cut()
    assert f"part 2/2: ended on {relay.url.rstrip('/')} with exit code 0" in fleet.said
    assert len(dam.requests) == 60
    assert Output(tmp_path / "out").summary["fleet"]["restarts"] == 0


def test_what_does_not_fit_is_refused_before_anything_runs(
    scrapyds: tuple[Scrapyd, Scrapyd], api: ApiServer, tmp_path: Path
) -> None:
    urls = write_list(tmp_path / "list.txt", [api.url("/items/1")])
    first, second = scrapyds

    def refused(*arguments: str) -> str:
        fleet = Fleet(tmp_path, urls, *arguments)
        assert fleet.wait() == 2, fleet.said
        assert "Traceback" not in fleet.said
        return fleet.said

    assert "it refuses the user and the password" in refused("--scrapyd", first.url)
    assert "project 'other' not found" in refused("--project", "other", *at(first))
    deploy(second, tmp_path / "tree", version="2_0")
    assert f"2_0 on {second.url.rstrip('/')}" in refused("-a", "workers=4", *at(*scrapyds))
    second.ask("delversion.json", project="apifetch", version="2_0")
    second.kill()
    assert "Connection refused" in refused("--scrapyd", second.url)
    assert api.stats()["requests"] == 0


@needs_weed[0]
@needs_weed[1]
def test_with_an_object_store_a_part_goes_on_elsewhere_from_its_copied_ledger(
    prefix: Prefix, scrapyds: tuple[Scrapyd, Scrapyd], api: ApiServer, tmp_path: Path
) -> None:
    """And one of the servers brings the parts together: the machine that asks for it needs no keys of the store's."""
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    for server in scrapyds:  # which find the store by their environment, and their jobs with them
        server.close()
        server.start()
    often = ("-s", "APIFETCH_LEDGER_COPY_S=0.2")
    fleet = Fleet(tmp_path, urls, "-a", "workers=4", *often, *at(*scrapyds), out=prefix.url)
    second = Shard(2, 2)
    wait_until(lambda: prefix.copied(second) > 0, log=fleet.log)
    scrapyds[1].close()
    kept = prefix.copied(second)
    prefix.let_the_lease_run_out(second)
    assert fleet.wait() == 0, fleet.said
    rows = prefix.audit(tmp_path)
    assert sorted((row["line"], row["outcome"]) for row in rows) == [(line, "ok") for line in range(1, LINES + 1)]
    assert prefix.summary()["equation"]["ok"] == LINES
    assert sum(api.seen("/items/").values()) <= 2 * LINES - kept
    assert "part 2/2 was on" in fleet.said
    assert f"the results are in {prefix.url}" in fleet.said
