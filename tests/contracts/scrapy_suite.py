"""Run Scrapy's own download handler tests against libcurl's handler, unmodified.

    python -m tests.contracts.scrapy_suite [pytest arguments]

They come with Scrapy's source distribution, which is downloaded once into build/contract, beside an
environment with what they need (another pytest than ours). The exit code is pytest's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
BUILD: Final = ROOT / "build" / "contract"

NEEDS: Final = (
    "Twisted[http2]",
    "httpx2[http2,socks]",  # the suite's other handlers, imported by its conftest
    "attrs", "pexpect", "psutil", "pyftpdlib", "pygments", "sybil",
    "pytest==9.1.1",  # 9.2 fails on the suite's own fixtures
    "pytest-asyncio", "pytest-cov", "pytest-rerunfailures", "pytest-timeout", "pytest-twisted",
)  # fmt: skip


def prepare() -> tuple[Path, Path]:
    """Scrapy's source tree and a Python that can run its tests."""
    scrapy = version("scrapy")
    tree, python = BUILD / f"scrapy-{scrapy}", BUILD / f"venv-{scrapy}" / "bin" / "python"
    if not tree.exists():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
        subprocess.run([*pip, "--no-deps", "--no-binary=:all:", "--dest", BUILD, f"scrapy=={scrapy}"], check=True)
        with tarfile.open(BUILD / f"scrapy-{scrapy}.tar.gz") as archive:
            archive.extractall(BUILD, filter="data")
    done = python.parent.parent / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", python.parent.parent], check=True)
        pinned = [f"{name}=={version(name)}" for name in ("scrapy", "pycurl", "msgspec", "idna", "certifi")]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *pinned, *NEEDS], check=True)
        done.touch()
    return tree, python


def run(arguments: list[str]) -> int:
    """pytest's exit code."""
    tree, python = prepare()
    shutil.copy(Path(__file__).with_name("curl_handler.py"), tree / "tests" / "test_curl_handler.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [str(python), "-m", "pytest", "-p", "no:asyncio", "-q", "-m", "not requires_internet"]
    command += ["tests/test_curl_handler.py", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
