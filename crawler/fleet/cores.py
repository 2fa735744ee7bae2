"""How many processes this machine is worth: the cores that this one may use. Reads what the system says of itself."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


def cores(own: Path = OWN, cgroups: Path = CGROUPS) -> tuple[int, str]:
    """Give a number of processes, at least one, and why. A container's limit of 1.5 cores is one process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _cpu_limit(own, cgroups)
    if limit is not None and limit < allowed:
        return max(1, int(limit)), f"the control group allows {limit:g} cores"
    return allowed, f"this process may use {allowed} {'core' if allowed == 1 else 'cores'}"


def _cpu_limit(own: Path, cgroups: Path) -> float | None:
    """The least that cpu.max allows in our group and those above it (cgroup v2); None: no limit, or none to be read."""
    try:
        lines = own.read_text("utf-8").splitlines()
        group = next(PurePosixPath(line.removeprefix("0::")) for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    limits = []
    for each in (group, *group.parents):
        try:
            quota, period = (cgroups / str(each).lstrip("/") / "cpu.max").read_text("utf-8").split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            limits.append(int(quota) / int(period))
    return min(limits, default=None)
