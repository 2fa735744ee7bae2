"""Bodies as files: whole or not there, where they belong, its owner's only, and errors that say where."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from crawler.exceptions import StoreError
from crawler.store import files as room
from crawler.store.files import Durability, Files, location
from crawler.store.place import Place
from tests.stored import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UUID = "3f0c2d2e-5c1b-5d0e-9a53-0d6a4f0c9b11"
NAME = location(UUID, ok=True, levels=1)
OTHER = location(UUID, ok=False, levels=1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place.take(tmp_path / "out")
    yield place
    place.close()


@pytest.fixture(params=["tmpfile", "rename"])
def store(request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Files on either way to write one; the second is what macOS and some file systems get."""
    if request.param == "rename":
        monkeypatch.setattr(room, "_tmpfile_works", lambda _root: False)
    store = Files(place, "process")
    if request.param == "tmpfile" and not store._tmpfile:
        pytest.skip("no O_TMPFILE here")
    return store


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(0, f"responses/{UUID}.json"), (1, f"responses/3f/{UUID}.json"), (2, f"responses/3f/0c/{UUID}.json")],
)
def test_a_file_lies_as_many_folders_deep_as_asked(place: Place, store: Files, levels: int, expected: str) -> None:
    name = location(UUID, ok=True, levels=levels)
    assert name == expected
    store.write(name, b"{}", staged=False)
    assert (place.directory / expected).read_bytes() == b"{}"


def test_a_reader_never_sees_a_part_of_a_file(place: Place, store: Files) -> None:
    """Under its final name it is whole from the first moment, also while another one is replaced."""
    seen: set[int] = set()
    sizes, ended = [3_000_000, 2_000_000] * 10, threading.Event()

    def read() -> None:
        while not ended.is_set():
            with suppress(FileNotFoundError):  # before the first one
                seen.add(len((place.directory / NAME).read_bytes()))

    reader = threading.Thread(target=read)
    reader.start()
    for size in sizes:
        store.write(NAME, bytes(size), staged=False)
    ended.set()
    reader.join()
    assert seen <= set(sizes)
    assert set(files(place.directory)) == {NAME}


def test_what_a_killed_run_left_under_the_name_is_replaced(place: Place, store: Files) -> None:
    store.write(NAME, b"orphan", staged=False)
    (place.directory / f"{NAME}.tmp").write_bytes(b"cut off")
    store.write(NAME, b"new", staged=False)
    assert files(place.directory) == {NAME: b"new"}


# A successor, step by step


def test_a_staged_file_leaves_its_predecessor_alone_until_it_is_settled(place: Place, store: Files) -> None:
    store.write(NAME, b"old", staged=False)
    store.write(NAME, b"new", staged=True)
    assert (place.directory / NAME).read_bytes() == b"old"
    store.settle(UUID, NAME)
    assert files(place.directory) == {NAME: b"new"}


def test_a_staged_file_of_a_killed_run_is_replaced(place: Place, store: Files) -> None:
    store.write(NAME, b"old", staged=False)
    store.write(NAME, b"killed", staged=True)
    store.write(NAME, b"new", staged=True)
    store.settle(UUID, NAME)
    assert files(place.directory) == {NAME: b"new"}


@pytest.mark.parametrize(("name", "left"), [(NAME, {NAME: b"new"}), (OTHER, {OTHER: b"new"}), (None, {})])
def test_settling_leaves_the_rows_file_alone_and_again_changes_nothing(
    place: Place, store: Files, name: str | None, left: dict[str, bytes]
) -> None:
    store.write(OTHER, b"old", staged=False)
    if name is not None:
        store.write(name, b"new", staged=True)
    for _ in range(2):
        store.settle(UUID, name)
        assert files(place.directory) == left


def test_what_is_not_there_is_discarded_in_peace(place: Place, store: Files) -> None:
    store.discard(NAME)
    store.write(NAME, b"orphan", staged=False)
    store.discard(NAME)
    assert files(place.directory) == {}


# Who may read it, and where it really lies


def test_files_and_folders_are_their_owners_only(place: Place, store: Files) -> None:
    before = os.umask(0o077)
    try:
        store.write(NAME, b"{}", staged=False)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place.directory / "responses").rglob("*")}
    assert modes == {"3f": 0o700, f"{UUID}.json": 0o600}


@pytest.mark.parametrize("planted", [NAME, f"{NAME}.tmp"])
def test_a_link_under_a_predicted_name_is_not_followed(
    tmp_path: Path, place: Place, store: Files, planted: str
) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"precious")
    (place.directory / NAME).parent.mkdir(parents=True)
    (place.directory / planted).symlink_to(mine)
    store.write(NAME, b"{}", staged=False)
    assert mine.read_bytes() == b"precious"
    assert not (place.directory / NAME).is_symlink()
    assert files(place.directory)[NAME] == b"{}"


@pytest.mark.parametrize("planted", ["responses", "responses/3f"])
def test_a_link_in_a_folders_place_is_refused(tmp_path: Path, place: Place, store: Files, planted: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (place.directory / planted).parent.mkdir(exist_ok=True)
    (place.directory / planted).symlink_to(elsewhere)
    with pytest.raises(StoreError, match=f"{NAME}: Not a directory"):
        store.write(NAME, b"{}", staged=False)
    assert list(elsewhere.iterdir()) == []


# Errors


def test_a_file_where_a_folder_should_be_is_named(place: Place, store: Files) -> None:
    (place.directory / "responses").write_bytes(b"")
    with pytest.raises(StoreError, match=f"cannot write {place.directory}/{NAME}: Not a directory"):
        store.write(NAME, b"{}", staged=False)


def test_a_folder_where_a_file_should_be_is_named(place: Place, store: Files) -> None:
    (place.directory / NAME).mkdir(parents=True)
    with pytest.raises(StoreError, match=f"cannot write {place.directory}/{NAME}: Is a directory"):
        store.write(NAME, b"{}", staged=False)
    store.write(NAME, b"{}", staged=True)
    with pytest.raises(StoreError, match=f"cannot settle {place.directory}/{NAME}: Is a directory"):
        store.settle(UUID, NAME)
    with pytest.raises(StoreError, match=f"cannot remove {place.directory}/{NAME}: Is a directory"):
        store.settle(UUID, None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_is_named_and_leaves_no_part_of_a_file(small_disk: Path) -> None:
    place = Place.take(small_disk)
    try:
        store = Files(place, "process")
        with pytest.raises(StoreError, match=f"cannot write {small_disk}/{NAME}: No space left on device"):
            store.write(NAME, bytes(200_000), staged=False)
        assert files(small_disk) == {}
    finally:
        place.close()


def test_a_tree_on_another_disk_is_refused(tmp_path: Path, small_disk: Path) -> None:
    """No barrier of the output directory would reach it."""
    place = Place.take(tmp_path / "out")
    try:
        (place.directory / "responses").mkdir()
        subprocess.run(["mount", "--bind", small_disk, place.directory / "responses"], check=True)
        with pytest.raises(StoreError, match="on another file system"):
            Files(place, "process").write(NAME, b"{}", staged=False)
    finally:
        subprocess.run(["umount", "--lazy", place.directory / "responses"], check=True)
        place.close()


# Barriers


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were synced one by one."""
    synced: list[str] = []
    sync = room.full_sync

    def note(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        sync(fd)

    monkeypatch.setattr(room, "full_sync", note)
    return synced


@pytest.mark.parametrize("durability", get_args(Durability))
def test_barriers_are_counted_where_there_are_any(place: Place, durability: Durability) -> None:
    store = Files(place, durability)
    for _ in range(3):
        store.write(NAME, b"{}", staged=False)
        store.barrier()
    assert store.barriers == (0 if durability == "process" else 3)


@pytest.mark.parametrize("durability", ["strict", "batch"])
def test_each_file_and_each_changed_folder_is_synced_where_no_one_call_does_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, synced: list[str], durability: Durability
) -> None:
    monkeypatch.setattr(room, "_find_syncfs", lambda: None)
    store = Files(place, durability)
    store.write(NAME, b"{}", staged=False)
    store.barrier()
    assert set(synced) == {"out", "responses", "3f", f"{UUID}.json"}
    synced.clear()
    store.write(NAME, b"new", staged=True)
    store.barrier()
    assert set(synced) == {"3f", f"{UUID}.json.new"}
    synced.clear()
    store.settle(UUID, NAME)
    store.barrier()
    assert synced == ["3f"]
    synced.clear()
    store.settle(UUID, None)
    store.barrier()
    assert synced == ["3f"]


def test_folders_of_a_killed_run_are_synced_too(place: Place, synced: list[str]) -> None:
    """It may have made them a moment before."""
    (place.directory / NAME).parent.mkdir(parents=True)
    store = Files(place, "strict")
    store.write(NAME, b"{}", staged=False)
    store.barrier()
    assert {"out", "responses", "3f"} <= set(synced)


def test_strict_and_process_do_without_syncfs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_find_syncfs", lambda: pytest.fail("looked for"))
    for durability in ("strict", "process"):
        store = Files(place, durability)
        store.write(NAME, b"{}", staged=False)
        store.barrier()


def fails_with(number: int) -> Callable[[int], int]:
    """A syncfs that fails, in libc's way."""

    def syncfs(_fd: int) -> int:
        ctypes.set_errno(number)
        return -1

    return syncfs


def test_a_failed_syncfs_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_find_syncfs", lambda: fails_with(errno.EIO))
    store = Files(place, "batch")
    store.write(NAME, b"{}", staged=False)
    with pytest.raises(StoreError, match=f"cannot sync {place.directory}: Input/output error"):
        store.barrier()


def test_libcs_own_syncfs_tells_of_an_error(tmp_path: Path) -> None:
    syncfs = room._find_syncfs()
    if syncfs is None:
        pytest.skip("no syncfs here")
    assert syncfs(-1) == -1
    assert ctypes.get_errno() == errno.EBADF


def test_a_failed_fsync_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = Files(place, "strict")
    store.write(NAME, b"{}", staged=False)
    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(StoreError, match=r"cannot sync .*: Input/output error"):
        store.barrier()
