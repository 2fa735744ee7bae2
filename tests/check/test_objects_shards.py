"""A list in parts, into one prefix of a real object store, by machines that share nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.items import WHOLE, Shard
from tests.check.test_objects import BESIDE, items
from tests.harness import write_list
from tests.prefix import wait_for_the_writer
from tests.weed import needs_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult, Output, Running
    from tests.prefix import Prefix

pytestmark = needs_store

OFTEN = {"APIFETCH_LEDGER_COPY_S": 0.2}


def part(shard: Shard) -> set[str]:
    """What a part leaves at the top of the prefix."""
    return {shard.file(name) for name in BESIDE - {"report.html", "output.json"}}


def test_parts_on_two_machines_are_brought_together_on_a_third(api: ApiServer, prefix: Prefix, tmp_path: Path) -> None:
    lines = [*items(api, 200), api.url("/status/404"), "no url", api.url("/items/1")]
    parts = Shard(1, 2), Shard(2, 2)
    running: list[Running] = [
        prefix.fetch(lines, machine=f"machine-{shard.number}", shard=str(shard), wait=False) for shard in parts
    ]
    codes = [each.wait(300).returncode for each in running]
    assert set(codes) <= {0, 8, 65}  # by whose lines the others than ok are
    assert {name for name in prefix.objects() if "/" not in name} == {"output.json", *part(parts[0]), *part(parts[1])}
    equations = [prefix.summary(shard)["equation"] for shard in parts]
    assert sum(each["ok"] for each in equations) == 200
    assert [each["lines"] for each in equations] == [each["ok"] + each["failed"] + each["invalid"] + each["duplicate"] +
                                                     each["elsewhere"] for each in equations]  # fmt: skip

    other: CrawlResult = prefix.fetch([api.url("/items/7")], machine="other", shard="1/2", data="x", method="POST")
    assert other.returncode == 2
    assert "was begun with no method, you gave method=POST" in other.stderr

    asked = api.stats()["requests"]
    whole: CrawlResult = prefix.fetch(lines, machine="third")
    assert whole.returncode == 8
    assert api.stats()["requests"] == asked
    assert len(prefix.audit(tmp_path)) == 203
    left = BESIDE | {shard.file(name) for shard in parts for name in ("lease.json", "run.log")}
    assert {name for name in prefix.objects() if "/" not in name} == left
    assert prefix.summary()["equation"]["ok"] == 200
    assert set(api.seen("/items/").values()) == {1}

    # A part, again, where there was one: it takes its records back from the whole's.
    back: CrawlResult = prefix.fetch(lines, machine="machine-2", shard="2/2")
    assert back.returncode == codes[1]
    assert prefix.summary(parts[1])["equation"] == {**equations[1]}
    assert api.stats()["requests"] == asked


def test_another_number_of_parts_goes_on_wherever_they_run(api: ApiServer, prefix: Prefix, tmp_path: Path) -> None:
    lines = items(api, 240)
    for number in (1, 2):
        stopped: CrawlResult = prefix.fetch(lines, machine=f"machine-{number}", shard=f"{number}/2", max_calls=60)
        assert stopped.returncode == 75
    machines = {1: "machine-1", 2: "empty", 3: "machine-2"}
    running: list[Running] = [
        prefix.fetch(lines, machine=machine, shard=f"{number}/3", wait=False) for number, machine in machines.items()
    ]
    assert [each.wait(300).returncode for each in running] == [0, 0, 0]
    assert set(api.seen("/items/").values()) == {1}  # what was done is nobody's to do again
    names = prefix.client.names()
    assert not {Shard(number, 2).file("ledger.sqlite") for number in (1, 2)} & names
    assert {Shard(number, 3).file("ledger.sqlite") for number in (1, 2, 3)} <= names

    # The first number again: what its machines have of it is old.
    again: list[CrawlResult] = [
        prefix.fetch(lines, machine=f"machine-{number}", shard=f"{number}/2") for number in (1, 2)
    ]
    assert [each.returncode for each in again] == [0, 0]
    whole: CrawlResult = prefix.fetch(lines, machine="another")
    assert whole.returncode == 0
    assert len(prefix.audit(tmp_path)) == 240
    assert set(api.seen("/items/").values()) == {1}


def test_a_part_whose_machine_is_lost_goes_on_elsewhere_from_its_copied_ledger(
    api: ApiServer, prefix: Prefix, tmp_path: Path
) -> None:
    lines, shard = items(api, 900), Shard(2, 2)
    running: Running = prefix.fetch(lines, shard="2/2", rate="10/s", wait=False, settings=OFTEN)
    running.wait_for(lambda: prefix.copied(shard) > 5)  # of some 450, which take 45 s
    running.kill()
    wait_for_part(prefix.machine("here"), shard)
    held = prefix.terms(shard)
    for other in ("2/2", "1/3", "1/1"):  # the same part, another number, the whole
        refused: CrawlResult = prefix.fetch(lines, machine="elsewhere", shard=other)
        assert refused.returncode == 69, other
        assert held.who in refused.stderr
    beside: CrawlResult = prefix.fetch(lines, machine="elsewhere", shard="1/2")
    assert beside.returncode == 0

    prefix.let_the_lease_run_out(shard)
    kept = prefix.copied(shard)
    done: CrawlResult = prefix.fetch(lines, machine="elsewhere", shard="2/2")
    assert done.returncode == 0
    summary = prefix.summary(shard)
    assert summary["run"]["calls"] == summary["equation"]["ok"] - kept
    assert prefix.terms(shard).killed  # so that what was put and never written down goes
    whole: CrawlResult = prefix.fetch(lines, machine="third")
    assert whole.returncode == 0
    assert len(prefix.audit(tmp_path)) == 900
    assert prefix.terms(WHOLE).killed


def wait_for_part(output: Output, shard: Shard) -> None:
    """Return when the writer of a part that was killed has ended."""
    wait_for_the_writer(output.out / shard.file("ledger.lock"))


def test_a_fleet_of_processes_leaves_in_the_prefix_what_one_run_does(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    lines = [*items(api, 200), api.url("/status/404"), "no url", api.url("/items/1")]
    urls = write_list(tmp_path / "fleet.txt", lines)
    told = ("-a", f"out={prefix.url}", "-s")
    done = crawl.scrapy("fleet", urls, "--processes", 2, *told, "APIFETCH_LOCAL=here", **prefix.environment)
    assert done.returncode == 8
    assert len(prefix.audit(tmp_path)) == 203
    parts = Shard(1, 2), Shard(2, 2)
    left = BESIDE | {shard.file(name) for shard in parts for name in ("lease.json", "run.log")}
    assert {name for name in prefix.objects() if "/" not in name} == left
    summary = prefix.summary()
    assert (summary["equation"]["ok"], summary["fleet"]["processes"], summary["fleet"]["calls"]) == (200, 2, 201)
    again = crawl.scrapy("fleet", urls, "--processes", 3, *told, "APIFETCH_LOCAL=elsewhere", **prefix.environment)
    assert again.returncode == 8
    assert len(prefix.audit(tmp_path)) == 203
    assert set(api.seen("/items/").values()) == {1}
