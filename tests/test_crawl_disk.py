"""Where records go: a disk that is full or forbidden ends the run cleanly, feeds stand beside the files."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.audit import audit, audit_files, mode, outcomes, refused
from tests.harness import write_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

Mount = "Callable[[Path, str], None]"


@pytest.fixture
def mount() -> Iterator[Callable[[Path, str], None]]:
    """Mount memory as a disk: mount(directory, "size=1m"); again to change it."""
    mounted: list[Path] = []

    def mount(directory: Path, options: str) -> None:
        again = directory in mounted
        options = f"remount,{options}" if again else f"mode=700,{options}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=False)
        if done.returncode:
            pytest.skip("only root may mount a small disk")
        if not again:
            mounted.append(directory)

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.parametrize("size_kb", [40, 140, 300, 700, 1300])
def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(
    api: ApiServer, crawl: Crawl, mount: Callable[[Path, str], None], size_kb: int
) -> None:
    out = crawl.cwd / "out" / "items"
    out.mkdir(parents=True)
    mount(out, f"size={size_kb}k")
    result = crawl([api.url(f"/items/{n}") for n in range(150)], settings={"APIFETCH_FOLDER_LEVELS": 0})
    refused(result, 3, "No space left on device" if size_kb != 1300 else "")
    if (out / "ledger.sqlite").exists() and (out / "ledger.sqlite").stat().st_size:
        rows = result.rows()
        for row in rows:
            document = json.loads((out / row["location"]).read_bytes())
            assert document["sha256"] == row["sha256"]
        assert not [path for path in result.files() if path.stat().st_size == 0]
        print(len(rows), len(result.files()), result.summary)
    mount(out, "size=64m")
    again = crawl("items.txt", settings={"APIFETCH_FOLDER_LEVELS": 0})
    audit(again, 0)
    assert outcomes(again) == {"ok": 150}
