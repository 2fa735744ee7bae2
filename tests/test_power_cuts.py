"""A power cut at any moment loses nothing that was acknowledged, and the same command goes on from what it left."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.proofs.powercuts.disk import CALM, Disk, Weather
from tests.proofs.powercuts.history import History
from tests.proofs.powercuts.recording import ROOT, Link, Rename, Sync, Write
from tests.proofs.powercuts.trial import prove

if TYPE_CHECKING:
    from crawler.store.files import Durability


def why_not_traced() -> str | None:
    """Why operations cannot be recorded here; None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "strace may not trace here"


@pytest.mark.parametrize("durability", ["batch", "strict", "process"])
def test_what_was_acknowledged_outlives_a_power_cut(durability: Durability) -> None:
    """`process`: the end of all processes, between any two operations."""
    if (why := why_not_traced()) is not None:
        pytest.skip(why)
    history = History(durability=durability, lines=12, seed=5)
    outcomes = prove(history, cuts=240, seed=5, resume_every=40)
    assert outcomes.breaches == []
    assert outcomes.cuts >= 230
    assert outcomes.resumed >= 2


@pytest.mark.check
@pytest.mark.parametrize("durability", ["batch", "strict", "process"])
def test_what_was_acknowledged_outlives_power_cuts_in_packs_too(durability: Durability) -> None:
    if (why := why_not_traced()) is not None:
        pytest.skip(why)
    history = History(durability=durability, lines=12, seed=5, packed=True)
    outcomes = prove(history, cuts=1000, seed=5, resume_every=40)
    assert outcomes.breaches == []
    assert outcomes.resumed >= 2


@pytest.mark.check
@pytest.mark.parametrize("seed", [21, 22])
@pytest.mark.parametrize("durability", ["batch", "strict", "process"])
def test_what_was_acknowledged_outlives_many_power_cuts(durability: Durability, seed: int) -> None:
    if (why := why_not_traced()) is not None:
        pytest.skip(why)
    history = History(durability=durability, lines=20, seed=seed)
    outcomes = prove(history, cuts=3000, seed=seed, resume_every=50)
    assert outcomes.breaches == []


# The disk itself: were it too kind, nothing would be proved

LOSES_ALL = Weather(0.0, 0.0, 0.0)


class Chance:
    """What random.Random says, if it is always the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def after_cut(disk: Disk, weather: Weather, chance: float = 0.0) -> dict[str, bytes]:
    remains = disk.cut(weather, Chance(chance))  # type: ignore[arg-type]
    return {path: remains.content(inode) for path, inode in remains.files().items()}


def test_a_disk_keeps_what_was_synced_and_nothing_else() -> None:
    disk = Disk()
    for operation in (Link(ROOT, "a", 1), Write(1, 0, b"old"), Sync(1), Link(ROOT, "b", 2), Sync(ROOT)):
        disk.do(operation)
    assert after_cut(disk, LOSES_ALL) == {"a": b"old", "b": b""}
    disk.do(Write(1, 0, b"new"))
    disk.do(Rename(ROOT, "a", "b"))
    assert after_cut(disk, LOSES_ALL) == {"a": b"old", "b": b""}
    assert after_cut(disk, CALM) == {"b": b"new"}
    disk.do(Sync(1))
    assert after_cut(disk, LOSES_ALL) == {"a": b"new", "b": b""}
    disk.do(Sync(None))
    assert after_cut(disk, LOSES_ALL) == {"b": b"new"}


def test_a_disk_tears_and_blanks_what_was_not_synced() -> None:
    disk = Disk()
    for operation in (Link(ROOT, "a", 1), Sync(ROOT), Write(1, 0, b"x" * 600)):
        disk.do(operation)
    assert after_cut(disk, Weather(1.0, 0.0, 1.0), 0.6) == {"a": bytes(600)}
    torn = Weather(1.0, 0.0, 1.0)
    assert after_cut(disk, torn, 0.4) == {"a": b"x" * 600}


def test_of_two_operations_on_one_name_the_later_never_happens_alone() -> None:
    disk = Disk()
    for operation in (Link(ROOT, "a.new", 1), Write(1, 0, b"x"), Sync(1), Rename(ROOT, "a.new", "a")):
        disk.do(operation)

    class OnlyTheSecond(Chance):
        def random(self) -> float:
            self.value = 1.0 - self.value
            return self.value

    remains = disk.cut(Weather(0.5, 0.5), OnlyTheSecond(0.0))  # type: ignore[arg-type]
    assert remains.files() == {}
