"""How fast calls go: the whole command, against a server that writes down when it heard what."""

from __future__ import annotations

import heapq
import json
import signal
import time
from collections import Counter
from datetime import datetime
from itertools import count, pairwise
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.audit import audit
from tests.gate import Gate
from tests.harness import write_list
from tests.pacing_world import most_in
from tests.scripted import HANG_UP, OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Crawl

TWO: Final = ["127.0.0.1", "127.0.0.2"]
STOCK_SCHEDULER: Final = {"SCHEDULER": "scrapy.core.scheduler.Scheduler"}
STOCK_DOWNLOADER: Final = {"DOWNLOADER": "scrapy.core.downloader.Downloader"}

each_seam = pytest.mark.parametrize(
    "seams",
    [
        pytest.param({}, id="ours"),
        pytest.param(STOCK_SCHEDULER, id="Scrapy's scheduler", marks=pytest.mark.check),
        pytest.param(STOCK_DOWNLOADER, id="Scrapy's downloader", marks=pytest.mark.check),
        pytest.param({**STOCK_SCHEDULER, **STOCK_DOWNLOADER}, id="both Scrapy's"),
    ],
)


def answer_ok(_heard: Heard) -> Says:
    return OK


def when(server: Scripted, host: str | None = None) -> list[float]:
    """When requests came, of one host or all."""
    return [heard.at_s for heard in server.heard if host in {None, heard.host}]


def keeps_to(per_s: int, server: Scripted, host: str | None = None, *, window_s: float = 1.0) -> bool:
    """Whether no window has more calls than that rate allows.

    Two more, which were late on their way; and what was sent while the server itself stood still.
    """
    return most_in(when(server, host), window_s) <= per_s * (window_s + server.late_s) + 2


# rate


@each_seam
def test_no_second_has_more_calls_than_the_rate(crawl: Crawl, seams: dict[str, Any]) -> None:
    """Redirects and retries are calls too."""

    def answer(heard: Heard) -> Says:
        if heard.path.startswith("/moved"):
            return Says(302, {"Location": f"/here{heard.path}"})
        return Says(500) if heard.path.startswith("/fails") and heard.times == 1 else OK

    kinds = ["plain", "moved", "fails"]
    with Scripted(answer) as server:
        result = crawl([server.url(f"/{kinds[n % 3]}/{n}") for n in range(30)], rate="20/s", workers=8, settings=seams)
    summary = audit(result, 0)
    assert len(server.heard) == 50
    assert keeps_to(20, server)
    assert summary["run"]["seconds"] >= 49 / 21


def test_each_host_has_the_rate_and_a_sorted_list_is_interleaved(crawl: Crawl) -> None:
    """The second host's lines come last in the list, and are done long before the first's."""
    with Scripted(answer_ok, addresses=TWO) as server:
        urls = [server.url(f"/{n}") for n in range(40)] + [server.url(f"/{n}", 1) for n in range(5)]
        result = crawl(urls, rate="10/s")
    audit(result, 0)
    rows = result.rows("select url from records order by started_at")
    is_second = [row["url"].startswith(server.origins[1]) for row in rows]
    assert sum(is_second[:25]) == 5
    assert all(keeps_to(10, server, host) for host in TWO)


def test_a_rate_is_kept_with_many_calls_at_once_where_answers_take_long(crawl: Crawl) -> None:
    """A call that starts makes room for the next one's time, long before it ends."""
    with Gate(full=12, fillings=1) as gate:
        audit(crawl([f"{gate.origins[0]}/{n}" for n in range(12)], rate="20/s", workers=12), 0)
    assert gate.fillings_left == 0, "all of them are on their way before the first is answered"


def test_a_list_is_read_ahead_by_a_bounded_number_of_lines(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        summary = audit(crawl([server.url(f"/{n}") for n in range(3000)], rate="1/d"), 75)
    assert summary["equation"]["lines"] == "unknown"  # it was not read to its end


def test_what_one_run_is_asked_to_wait_all_runs_with_the_same_key_wait(crawl: Crawl) -> None:
    """They are not refused for it, each by itself; who comes with another key, or wants to be alone, is."""

    def answer(heard: Heard) -> Says:
        return Says(429, {"Retry-After": "3600"}) if heard.path == "/limit" else OK

    with Scripted(answer, addresses=TWO) as server:
        how: dict[str, Any] = {
            "headers": '{"Authorization": "Bearer ${KEY}"}', "env": {"KEY": "one-of-the-keys"},
            "hosts": ",".join(origin.removeprefix("http://") for origin in server.origins),
        }  # fmt: skip
        assert audit(crawl([server.url("/limit")], out="first", **how), 75)["stop_reason"] == "waits"
        lines = [server.url(f"/{n}") for n in range(3)] + [server.url("/0", 1)]
        summary = audit(crawl(lines, out="second", **how), 75)
        assert (summary["stop_reason"], summary["equation"]["ok"], summary["equation"]["left"]) == ("waits", 1, 3)
        assert datetime.fromisoformat(summary["resume_at"]).timestamp() > time.time() + 3_000
        assert [heard.host for heard in server.heard] == TWO
        audit(crawl(lines, out="third", **how | {"env": {"KEY": "another-key"}}), 0)
        audit(crawl(lines, out="fourth", settings={"APIFETCH_SHARED_RATE": "off"}, **how), 0)


def test_posts_go_at_the_rate_too(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        lines = [json.dumps({"url": server.url(f"/{n}"), "method": "POST"}) + "\n" for n in range(20)]
        (crawl.cwd / "calls.jsonl").write_text("".join(lines))
        audit(crawl("calls.jsonl", rate="50/s"), 0)
    assert len(server.heard) == 20
    assert keeps_to(50, server, window_s=0.2)


def test_a_day_that_is_used_up_ends_the_run_and_the_next_one_knows(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        result = crawl([server.url(f"/{n}") for n in range(9)], rate="4/d")
        summary = audit(result, 75)
        assert (summary["stop_reason"], summary["equation"]["ok"], summary["equation"]["left"]) == ("waits", 4, 5)
        assert datetime.fromisoformat(summary["resume_at"]).timestamp() > time.time() + 80_000
        again = crawl("items.txt", rate="4/d")
        assert audit(again, 75)["run"]["calls"] == 0
        assert len(server.heard) == 4
        more = crawl("items.txt", rate="6/d")
        assert audit(more, 75)["run"]["calls"] == 2
        audit(crawl("items.txt"), 0)
    assert len(server.heard) == 9


def test_runs_into_other_folders_share_the_budget_of_a_host_unless_told_not_to(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        audit(crawl([server.url(f"/{n}") for n in range(4)], rate="4/d", out="one"), 0)
        used_up = crawl("items.txt", rate="4/d", out="two")
        assert audit(used_up, 75)["stop_reason"] == "waits"
        assert len(server.heard) == 4
        alone = crawl("items.txt", rate="4/d", out="two", settings={"APIFETCH_SHARED_RATE": "off"})
        audit(alone, 0)
    assert len(server.heard) == 8


@pytest.mark.check
def test_four_processes_together_keep_to_the_rate(crawl: Crawl) -> None:
    """How little is left unused, tests/test_pacing_shared.py shows."""
    with Scripted(answer_ok) as server:
        lists = [write_list(crawl.cwd / f"{n}.txt", (server.url(f"/{n}/{m}") for m in range(250))) for n in range(4)]
        for running in [crawl(path, rate="50/s", out=f"out/{path.stem}", wait=False) for path in lists]:
            audit(running.wait(120), 0)
    assert keeps_to(50, server)


def test_what_is_used_up_is_not_forgotten_by_a_kill(crawl: Crawl) -> None:
    """What was noted stays; a note is taken every few seconds, here while the run waits for the hour to pass."""
    with Scripted(answer_ok) as server:
        urls = [server.url(f"/{n}") for n in range(9)]
        running = crawl(urls, rate="2/h", wait=False, settings={"APIFETCH_MAX_WAIT": 86_400})
        running.wait_for(lambda: noted(running.output.rows("select value from about where name = 'pacing'")) == 2)
        running.kill()
        audit(crawl("items.txt", rate="3/h"), 75)
    assert len(server.heard) == 3


def noted(rows: list[dict[str, Any]]) -> int:
    """How many calls the ledger knows of."""
    return sum(calls for row in rows for host in json.loads(row["value"]).values() for _, calls in host["rate"]["3600"])


# What the host says


@pytest.mark.parametrize("seams", [{}, STOCK_SCHEDULER], ids=["ours", "Scrapy's scheduler"])
def test_a_host_that_asks_for_a_rest_gets_it_from_all_lines(crawl: Crawl, seams: dict[str, Any]) -> None:
    """Also from those that it did not refuse."""

    def answer(heard: Heard) -> Says:
        return Says(429, {"Retry-After": "2"}) if len(server.heard) == 1 else OK

    with Scripted(answer) as server:
        audit(crawl([server.url(f"/{n}") for n in range(5)], workers=1, settings=seams), 0)
    first_s, *others_s = when(server)
    assert len(others_s) == 5
    assert min(others_s) - first_s >= 2


def test_a_host_that_rests_leaves_the_others_alone(crawl: Crawl) -> None:
    """With one worker, and its lines first in the list. The others take a hundredth of the rest."""

    def answer(heard: Heard) -> Says:
        return Says(429, {"Retry-After": "5"}) if heard.host == TWO[0] and len(server.heard) == 1 else OK

    with Scripted(answer, addresses=TWO) as server:
        urls = [server.url(f"/{n}") for n in range(10)] + [server.url(f"/{n}", 1) for n in range(10)]
        audit(crawl(urls, workers=1), 0)
    hosts = [heard.host for heard in server.heard]
    assert hosts == [TWO[0], *([TWO[1]] * 10), *([TWO[0]] * 10)]


def test_the_others_are_done_however_long_a_host_rests_and_however_many_of_its_lines_wait(crawl: Crawl) -> None:
    """Longer than the run stays for: it ends with the lines of that host left, and with no other."""

    def answer(heard: Heard) -> Says:
        return Says(429, {"Retry-After": "3600"}) if heard.host == TWO[0] else OK

    with Scripted(answer, addresses=TWO) as server:
        summary = audit(crawl([server.url(f"/{n // 2}", n % 2) for n in range(3_000)]), 75)
    assert (summary["stop_reason"], summary["equation"]["ok"], summary["equation"]["left"]) == ("waits", 1_500, 1_500)


def test_what_remains_is_used_and_then_waited_for(crawl: Crawl) -> None:
    """A window of 5 calls that begins anew when the server says: none is refused."""
    windows: Counter[int] = Counter()

    def answer(heard: Heard) -> Says:
        window, left_s = divmod(heard.at_s, 2.0)
        windows[int(window)] += 1
        remaining = 5 - windows[int(window)]
        limits = {"X-RateLimit-Remaining": str(max(remaining, 0)), "X-RateLimit-Reset": str(int(2.0 - left_s) + 1)}
        return Says(200 if remaining >= 0 else 429, limits)

    with Scripted(answer) as server:
        result = crawl([server.url(f"/{n}") for n in range(12)], workers=1)
    audit(result, 0)
    assert len(server.heard) == 12
    assert max(windows.values()) <= 5


@pytest.mark.parametrize("how", [HANG_UP, Says(503)], ids=["no answer", "503"])
def test_an_outage_costs_few_calls_no_line_and_no_retries(crawl: Crawl, how: Says) -> None:
    """Three seconds of it, in the middle of a list. A line has one retry, and more than one probe fails."""
    began: list[float] = []

    def answer(heard: Heard) -> Says:
        if len(server.heard) == 100:
            began.append(heard.at_s)
        return how if began and heard.at_s < began[0] + 3.0 else OK

    with Scripted(answer) as server:
        settings = {"APIFETCH_RETRY_BASE_S": 0.3, "APIFETCH_RETRY_CAP_S": 6}
        result = crawl([server.url(f"/{n}") for n in range(120)], workers=10, retries=1, settings=settings)
    audit(result, 0)
    meanwhile = [at_s - began[0] for at_s in when(server) if began[0] <= at_s < began[0] + 3.0]
    probes = [at_s for at_s in meanwhile if at_s >= 0.3]
    assert len(probes) <= 10, "0.3 s apart at the least"
    assert len(meanwhile) - len(probes) <= 30, "those that were on their way, and the first to find out"


def test_a_host_that_answers_less_is_called_less_at_once(crawl: Crawl) -> None:
    """It refuses more than three calls at once: most calls are served at the first attempt all the same."""
    held: list[int] = [0]

    def answer(_heard: Heard) -> Says:
        held[0] += 1
        server._loop.call_later(0.02, lambda: held.__setitem__(0, held[0] - 1))
        return Says(429, after_s=0.02) if held[0] > 3 else Says(after_s=0.02)

    with Scripted(answer) as server:
        result = crawl([server.url(f"/{n}") for n in range(300)], workers=20)
    summary = audit(result, 0)
    assert summary["run"]["retries"] < 100
    limits = {row["limit_"] for row in result.rows("select limit_ from timeline")}
    assert min(limits) < 20


# What workers=auto finds


def slots_of(slots: int, latency_s: float) -> Callable[[Heard], Says]:
    """An API with so many slots and a queue."""
    free_at = [0.0] * slots

    def answer(heard: Heard) -> Says:
        ends_s = max(heard.at_s, heapq.heappop(free_at)) + latency_s
        heapq.heappush(free_at, ends_s)
        return Says(after_s=ends_s - heard.at_s)

    return answer


@pytest.mark.check
def test_auto_finds_how_many_calls_an_api_serves_and_keeps_it_for_the_next_run(crawl: Crawl) -> None:
    """30 slots of 50 ms. Lines come until the number of calls at once falls: nothing is refused, so it was found.

    What it is depends on how busy this machine is; tests/test_pacing_auto.py has a clock of its own.
    """
    with Scripted(slots_of(30, 0.05)) as server:
        running = crawl("-", wait=False, stdin=PIPE, workers="auto", out="out", settings={"APIFETCH_WORKERS_MAX": 400})
        assert running.process.stdin is not None
        for hundred in count():
            lines = "".join(f"{server.url(f'/{100 * hundred + n}')}\n" for n in range(100))
            running.process.stdin.write(lines.encode())
            running.process.stdin.flush()
            running.wait_for(lambda: running.output.rows("select 1 from records limit 1"))
            limits = [row["limit_"] for row in running.output.rows("select limit_ from timeline order by second")]
            if any(later < limit < 400 for limit, later in pairwise(limits)):
                break
        result = running.wait()
        summary = audit(result, 0)
        assert summary["arguments"]["workers"] == "auto"
        found = summary["hosts"]["127.0.0.1"]["workers"]
        assert 1 <= found < 400
        assert f"127.0.0.1: {found} calls at once went well" in result.stderr
        (noted,) = result.rows("select value from about where name = 'pacing'")
        assert json.loads(noted["value"])["127.0.0.1"]["learned"]["limit"] == found
        again = audit(crawl("-", stdin=f"{server.url('/0')}\n".encode(), workers="auto", out="out"), 0)
        assert (again["run"]["calls"], again["hosts"]["127.0.0.1"]["workers"]) == (0, found)


def test_auto_is_bounded_by_per_host(crawl: Crawl) -> None:
    with Gate(full=15, fillings=1) as gate:
        audit(crawl([f"{gate.origins[0]}/{n}" for n in range(300)], workers="auto", per_host=15), 0)
    assert (gate.peak, gate.fillings_left) == (15, 0)


# max_calls


@each_seam
def test_no_call_more_than_max_calls_goes_out(crawl: Crawl, seams: dict[str, Any]) -> None:
    """Retries and hops count; the run can be continued until all is done."""

    def answer(heard: Heard) -> Says:
        if heard.path.startswith("/moved"):
            return Says(302, {"Location": f"/here{heard.path}"})
        return Says(500) if heard.path.startswith("/fails") and heard.times == 1 else OK

    kinds = ["plain", "moved", "fails"]
    with Scripted(answer) as server:
        urls = [server.url(f"/{kinds[n % 3]}/{n}") for n in range(60)]
        result = crawl(urls, max_calls=37, workers=8, settings=seams)
        summary = audit(result, 75)
        assert summary["stop_reason"] == "max_calls"
        assert len(server.heard) == 37
        assert 0 < summary["equation"]["ok"] < 37
        audit(crawl("items.txt", max_calls=1000, settings=seams), 0)
    assert Counter(heard.path for heard in server.heard if heard.path.startswith("/plain")).most_common(1)[0][1] == 1


def test_a_list_that_needs_just_as_many_calls_is_done(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        urls = [server.url(f"/{n}") for n in range(20)]
        assert audit(crawl([*urls, urls[0]], max_calls=20), 0)["stop_reason"] is None
    assert len(server.heard) == 20


# Kills


@pytest.mark.check
def test_a_run_that_is_killed_while_a_host_rests_is_finished_by_the_next(crawl: Crawl) -> None:
    is_over = False

    def answer(heard: Heard) -> Says:
        return OK if is_over or heard.host == TWO[1] else Says(429, {"Retry-After": "30"})

    with Scripted(answer, addresses=TWO) as server:
        urls = [server.url(f"/{n}", n % 2) for n in range(40)]
        running = crawl(urls, wait=False)
        running.wait_for(lambda: len(running.output.rows()) == 20)
        running.kill()
        is_over = True
        result = crawl("items.txt")
    audit(result, 0)
    assert all(server.heard.count(heard) == 1 for heard in server.heard if heard.host == TWO[1])


def test_a_signal_ends_a_run_that_waits_for_its_rate(crawl: Crawl) -> None:
    with Scripted(answer_ok) as server:
        running = crawl([server.url(f"/{n}") for n in range(50)], rate="1/m", wait=False)
        running.wait_for(lambda: len(running.output.rows()) == 1)
        running.signal(signal.SIGTERM)
        summary = audit(running.wait(timeout_s=30), 75)
    assert summary["stop_reason"] == "shutdown"
    assert len(server.heard) == 1
