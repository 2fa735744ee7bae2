"""A server that does everything wrong costs the calls it answers, and nothing else: one crawl, one test a behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from crawler.items import Outcome
from tests.audit import audit
from tests.harness import Crawl
from tests.hostile.behaviour import MAX_BYTES
from tests.hostile.page import hostile_page
from tests.hostile.table import BEHAVIOURS, GROUPS
from tests.hostile.trial import PATIENCE_S, HostileProcess, Trial, marked, try_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.behaviour import Behaviour

pytestmark = pytest.mark.xdist_group("hostile")  # one crawl for all of them, with --dist loadgroup

PAGE: Final = Path(__file__).parent.parent / "docs" / "hostile.md"

LARGE: Final = sum(behaviour.outcome is Outcome.TOO_LARGE for behaviour in BEHAVIOURS)
"""Bodies that are stopped at DOWNLOAD_MAXSIZE: 19 of 2 MiB. Were all there at once, each as it came and once more
decoded, they would take 76 MiB; 35 to 40 MB were measured, code that a small crawl does not load included."""


@pytest.fixture(scope="module")
def server(hermetic: None) -> Iterator[HostileProcess]:
    with HostileProcess() as server:
        yield server


@pytest.fixture(scope="module")
def trial(server: HostileProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """All behaviours in one crawl."""
    crawl = Crawl(tmp_path_factory.mktemp("hostile"))
    yield try_out(crawl, server, BEHAVIOURS)
    crawl.close()


@pytest.mark.parametrize("behaviour", marked(BEHAVIOURS))
def test_a_misbehaving_server_costs_one_record_with_the_right_outcome(trial: Trial, behaviour: Behaviour) -> None:
    trial.check(behaviour)


def test_the_run_ends_as_any_other_with_failures_does(trial: Trial) -> None:
    summary = audit(trial.result, 4)
    assert summary["equation"]["lines"] == len(BEHAVIOURS)


def test_what_has_begun_and_stalls_ends_long_before_its_timeout(server: HostileProcess, tmp_path: Path) -> None:
    """Beside calls that are fine."""
    stalls = [each for each in BEHAVIOURS if "stall" in each.name and each.name != "stall-in-status-line"]
    fine = [each for each in BEHAVIOURS if each.outcome is Outcome.OK]
    trial = try_out(Crawl(tmp_path), server, [*stalls, *fine], {"APIFETCH_STALL_S": 2}, timeout_s=PATIENCE_S)
    errors = [trial.rows[each.name][0]["error"] for each in stalls]
    assert len(errors) == 8
    assert all(error.endswith("stalled for 2 seconds") for error in errors), errors


def test_memory_stays_within_what_large_bodies_may_take(trial: Trial, server: HostileProcess, tmp_path: Path) -> None:
    """Of the engine's process, beyond what a crawl of one small body takes."""
    crawl = Crawl(tmp_path)
    small = try_out(crawl, server, [behaviour for behaviour in BEHAVIOURS if behaviour.name == "tls"])
    if trial.peak_bytes is None or small.peak_bytes is None:
        pytest.skip("this system does not say how much memory a process took")
    assert trial.peak_bytes - small.peak_bytes <= 2 * MAX_BYTES * LARGE


def test_every_behaviour_has_a_name_of_its_own() -> None:
    names = [behaviour.name for behaviour in BEHAVIOURS]
    assert len(set(names)) == len(names)
    assert all(GROUPS.values())


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == hostile_page(), "run: python -m tests.hostile > docs/hostile.md"
