"""What all of it ran on: the versions of everything. Asks programs; knows no figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

OURS: Final = ("scrapy", "twisted", "pycurl", "uvloop", "msgspec")
"""What this project's speed hangs on, in its own environment."""

PEERS: Final = ("scrapy", "twisted", "requests", "urllib3", "httpx", "httpcore", "aiohttp", "pycurl", "uvloop")

ASK: Final = """\
import json, platform, sys
from importlib.metadata import PackageNotFoundError, version
found = {"Python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
try:
    import pycurl
    found["libcurl"] = pycurl.version.split("libcurl/")[1].split()[0]
except ImportError:
    pass
print(json.dumps(found))
"""


def facts(peers: str) -> dict[str, str]:
    """Name -> what it is, in the order of the report. peers: the Python of the peers."""
    cores = os.cpu_count()
    return {
        "machine": f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}, {platform.machine()}",
        "system": f"{platform.system()} {platform.release()}",
        "load average before the first run": f"{os.getloadavg()[0]:.1f}",  # over a minute: what else was going on
        "this project": _packages(sys.executable, OURS),
        "peers": _packages(peers, PEERS),
        "curl": _first_line(["curl", "--version"]).partition(" (")[0] or "not installed",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _packages(python: str, names: tuple[str, ...]) -> str:
    """Give `name version, ...` of what is installed there; why not, when that Python cannot say."""
    line = _first_line([python, "-c", ASK, *names])
    if not line:
        return "unknown"
    return ", ".join(f"{name} {version}" for name, version in json.loads(line).items())


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next(iter(done.stdout.splitlines()), "")
