"""The benchmark harness, run for real on a few calls. Nothing here is said about speed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.cases import CASES
from benchmarks.clients import CLIENTS
from benchmarks.nginx import handshakes_in
from benchmarks.plot import plot
from benchmarks.report import NOTHING, Ran, report
from benchmarks.samples import Sample, Served, Usage
from benchmarks.servers import find_nginx
from tests.harness import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CALLS = 50
BY_NAME = {client.name: client for client in CLIENTS}


def run_harness(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The command line of `make bench`, with everything it writes in *folder*."""
    command = [sys.executable, "-m", "benchmarks", "--rounds=1", f"--calls={CALLS}", f"--memory={folder}"]
    command += [f"--markdown={folder / 'report.md'}", f"--json={folder / 'report.json'}"]
    command += [f"--svg={folder / 'report.svg'}", f"--peers-python={sys.executable}", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)


def tables_of(markdown: str) -> list[list[list[str]]]:
    """The cells of each table, its heading first and the line below that left out."""
    tables: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return [[rows[0], *rows[2:]] for rows in tables if rows]


def numbers(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0].rstrip("x%").replace(",", ""))


@pytest.mark.check
def test_two_clients_are_run_side_by_side_and_compared(tmp_path: Path) -> None:
    """On both servers: one that answers at once, one that waits."""
    done = run_harness(tmp_path, "--cases=cpu,latency500", "--clients=apifetch,pycurl")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.md").read_text("utf-8")
    assert done.stdout == text + "\n"
    at_once, late = tables_of(text)
    for heading, ours, peer in (at_once, late):
        assert heading[:3] == ["client", "CPU a call, ms", "CPU to ours"]
        assert (ours[0], peer[0]) == ("**this project**", "pycurl multi, bare loop")
        assert len(heading) == len(ours) == len(peer)
        assert ours[2] == "1.00x"
        assert numbers(ours[1]) > 0
    assert "of workers / latency" in late[0]
    assert "## Versions" in text
    document = json.loads((tmp_path / "report.json").read_text("utf-8"))
    turns = [(sample["case"], sample["client"], sample["calls"]) for sample in document["samples"]]
    assert turns == [(case, client, CALLS) for case in ("cpu", "latency500") for client in ("apifetch", "pycurl")]
    if find_nginx():
        assert {sample["served"]["connections"] for sample in document["samples"][:2]} <= set(range(1, CALLS))
    ET.fromstring((tmp_path / "report.svg").read_text("utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json", "report.svg"}  # bodies are gone


@pytest.mark.check
@pytest.mark.skipif(find_nginx() is None, reason="only nginx counts handshakes")
def test_over_tls_each_connection_is_one_handshake(tmp_path: Path) -> None:
    done = run_harness(tmp_path, "--cases=tls", "--clients=apifetch,pycurl")
    assert done.returncode == 0, done.stderr
    for sample in json.loads((tmp_path / "report.json").read_text("utf-8"))["samples"]:
        served = sample["served"]
        assert served["connections"] == served["handshakes"] + served["resumed"]


@pytest.mark.check
def test_a_client_that_cannot_run_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    done = run_harness(tmp_path, "--cases=cpu", "--clients=pycurl,apifetch", "--peers-python=/bin/false")
    assert done.returncode == 1
    assert "pycurl failed in round 1: exit code 1: it said nothing" in done.stdout
    assert [row[0] for row in tables_of(done.stdout)[0][1:]] == ["**this project**"]


@pytest.mark.parametrize("argument", ["--cases=cpu,gpu", "--clients=wget", "--rounds=0", "--calls=many"])
def test_a_wrong_argument_is_told_before_anything_runs(argument: str, tmp_path: Path) -> None:
    done = run_harness(tmp_path, argument)
    assert done.returncode == 2
    assert argument.partition("=")[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


BURN = """\
import time
while time.process_time() < 0.3:
    pass
"""

MEASURE = """\
import os, pathlib, sys
from benchmarks.measure import adopt_orphans, measured
adopt_orphans()
command = ["sh", "-c", '"$0" -c "$1" & exit 3', sys.executable, sys.argv[1]]
with open(os.devnull, "wb") as nowhere:
    usage = measured(command, cwd=pathlib.Path("/"), env={}, output=nowhere)
print(usage.exit_code, usage.cpu_s)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to those who ask for them")
def test_what_a_client_leaves_behind_is_waited_for_and_counted() -> None:
    """In a process of its own, since adopting orphans is not undone."""
    done = subprocess.run([sys.executable, "-c", MEASURE, BURN], cwd=ROOT, capture_output=True, text=True, check=True)
    exit_code, cpu_s = done.stdout.split()
    assert exit_code == "3"
    assert float(cpu_s) >= 0.3


# The figures: pure


def usage(cpu_s: float, wall_s: float) -> Usage:
    return Usage(cpu_s=cpu_s, wall_s=wall_s, largest_bytes=50_000_000, all_bytes=None, exit_code=0)


def sample(client: str, number: int, *, cpu_s: float, wall_s: float = 6.0) -> Sample:
    """A turn of 100 calls at 2 workers, 100 ms each: 5 s at best; the list of one URL took 1.1 s."""
    return Sample(
        case="cpu", client=client, round=number, calls=100, workers=2, latency_ms=100,
        startup=usage(0.5, 1.1), run=usage(cpu_s, wall_s), served=Served(processes=2, cpu_s=3.0),
    )  # fmt: skip


def ran(*samples: Sample) -> Ran:
    return Ran(case=CASES[0], server="a server", samples=samples, failures=[])


def test_what_start_up_costs_is_taken_off() -> None:
    one = sample("pycurl", 1, cpu_s=2.0)
    assert one.cpu_ms == pytest.approx(20)
    assert one.further_cpu_ms == pytest.approx(1.5 / 99 * 1000)
    assert one.startup_s == pytest.approx(1.0)
    assert one.per_s == pytest.approx(20)
    assert one.reached == pytest.approx(1.0)
    assert one.server_busy == pytest.approx(0.25)


def test_a_run_that_is_over_as_soon_as_it_starts_has_no_speed() -> None:
    assert sample("pycurl", 1, cpu_s=0.5, wall_s=1.0).per_s is None


def test_ratios_are_of_the_same_round() -> None:
    """The machine was half as fast in the second round, for both: the ratio does not change."""
    both = ran(*(sample(name, n, cpu_s=cpu_s * n) for n in (1, 2) for name, cpu_s in (("apifetch", 2), ("pycurl", 1))))
    assert both.ratio("pycurl", lambda one: one.run.cpu_s, to="apifetch") == pytest.approx(0.5)
    assert both.median("pycurl", lambda one: one.run.cpu_s) == pytest.approx(1.5)


def test_what_is_not_known_is_a_dash() -> None:
    """A peer alone has nothing to be compared with."""
    alone = ran(sample("pycurl", 1, cpu_s=1))
    (heading, row), *_ = tables_of(report([alone], [BY_NAME["pycurl"]], {}, []))
    assert dict(zip(heading, row, strict=True))["CPU to ours"] == NOTHING


def test_a_connection_counts_once_however_many_calls_it_carried() -> None:
    assert handshakes_in(["7 .", "8 r", "7 .", "9 ."]) == (2, 1)


def test_the_plot_has_a_bar_for_each_client() -> None:
    both = ran(sample("apifetch", 1, cpu_s=2), sample("pycurl", 1, cpu_s=1), sample("pycurl", 2, cpu_s=3))
    svg: Any = ET.fromstring(plot([both], [BY_NAME["apifetch"], BY_NAME["pycurl"]]))
    classes = [element.get("class") for element in svg.iter()]
    assert classes.count("bar ours") == 1
    assert classes.count("bar") == 1
    assert classes.count("spread") == 1  # only where rounds differ
