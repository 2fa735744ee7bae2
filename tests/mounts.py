"""Memory as a small disk, where the tests may mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

Mount: TypeAlias = Callable[[Path, str], None]


@pytest.fixture(name="mount")
def mount_fixture() -> Iterator[Mount]:
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
