"""The output directory: made, held by one run, refused where it cannot be safe, and never a way out of itself."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from crawler.exceptions import OtherRunError, StoreError
from crawler.store import place as room
from crawler.store.place import NETWORK_FILE_SYSTEMS, Place, file_system


def test_a_directory_is_made_for_its_owner_only_and_hidden_from_git(tmp_path: Path) -> None:
    with closing(Place.take(tmp_path / "a" / "out")) as place:
        assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
        assert (place.directory / ".gitignore").read_text() == "*\n"


def test_the_folders_that_lead_to_it_are_on_disk_before_anything_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is synced in it is lost with them. Once: the first run that comes so far."""
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    Place.take(tmp_path / "a" / "out").close()
    assert synced[:3] == [tmp_path / "a", tmp_path, tmp_path.parent]
    synced.clear()
    Place.take(tmp_path / "a" / "out").close()
    assert synced == []
    (tmp_path / "a" / "out" / ".gitignore").write_bytes(b"")  # as a kill would leave it
    Place.take(tmp_path / "a" / "out").close()
    assert synced[:1] == [tmp_path / "a"]


def test_taking_it_again_leaves_the_gitignore_as_it_is(tmp_path: Path) -> None:
    Place.take(tmp_path).close()
    (tmp_path / ".gitignore").write_text("mine")
    Place.take(tmp_path).close()
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_two_runs_cannot_hold_it(tmp_path: Path) -> None:
    with closing(Place.take(tmp_path)), pytest.raises(OtherRunError, match=f"another run holds {tmp_path}"):
        Place.take(tmp_path)
    Place.take(tmp_path).close()


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    code = "import sys, time; from crawler.store.place import Place; from pathlib import Path\n"
    code += "place = Place.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    root = Path(room.__file__).parent.parent.parent
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(OtherRunError):
            Place.take(tmp_path)
        process.kill()
    Place.take(tmp_path).close()


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(StoreError, match=f"output directory {tmp_path}/out: "):
        Place.take(tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(StoreError, match=f"output directory {tmp_path}/out: "):
        Place.take(tmp_path / "out")


def test_a_planted_gitignore_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".gitignore").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="output directory"):
        Place.take(tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "out" / ".gitignore").unlink()
    Place.take(tmp_path / "out").close()  # the refusal gave the lock back


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(room, "file_system", lambda _device: kind)
    with pytest.raises(StoreError, match=f"network file system \\({kind}\\)"):
        Place.take(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mountinfo is Linux's")
def test_the_kind_of_a_file_system_is_read_from_the_mounts() -> None:
    assert file_system(Path("/proc").stat().st_dev) == "proc"
    assert file_system(os.makedev(4095, 1)) is None
