"""What must stay free on the disk, asked of the real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crawler.exceptions import StoreError
from crawler.store.space import Floor
from tests.stored import drive, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

MORE_THAN_ANY = 2**62


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_disk_with_enough_is_let_alone(fd: int) -> None:
    assert Floor(1, 1).shortage(fd) is None
    assert Floor(0, 0).shortage(fd) is None


def test_what_is_short_is_named_with_the_setting(fd: int) -> None:
    shortage = Floor(min_bytes=MORE_THAN_ANY).shortage(fd)
    assert shortage is not None
    assert "MiB free" in shortage
    assert f"APIFETCH_MIN_FREE_BYTES={MORE_THAN_ANY}" in shortage


def test_files_are_counted_where_the_file_system_counts_them(fd: int) -> None:
    shortage = Floor(min_inodes=MORE_THAN_ANY).shortage(fd)
    counted = os.statvfs(fd).f_files > 0
    assert (shortage is not None) == counted
    assert not counted or f"APIFETCH_MIN_FREE_INODES={MORE_THAN_ANY}" in str(shortage)


def test_what_is_still_to_be_written_counts_as_if_it_were(fd: int) -> None:
    disk = os.statvfs(fd)
    free = disk.f_bavail * disk.f_frsize
    assert Floor(min_bytes=1).shortage(fd, waiting_bytes=2 * free) is not None
    assert Floor(min_inodes=1).shortage(fd, waiting_bytes=2 * free) is None
    counted = disk.f_files > 0
    assert (Floor(min_inodes=1).shortage(fd, waiting_files=2 * disk.f_favail + 1) is not None) == counted


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system without inodes to count is Linux's")
def test_a_file_system_that_counts_no_files_has_enough() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert Floor(min_inodes=MORE_THAN_ANY).shortage(fd) is None
    finally:
        os.close(fd)


def test_a_run_does_not_begin_without_room(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ["a"], floor=Floor(min_bytes=MORE_THAN_ANY))
    with pytest.raises(StoreError, match=f"output directory {tmp_path}/out: .* MiB free .*make room"):
        drive(plan)
    assert not (tmp_path / "out" / "ledger.sqlite").exists()
    assert drive(make_plan(tmp_path)).calls == ["a"]  # the refusal gave the lock back
