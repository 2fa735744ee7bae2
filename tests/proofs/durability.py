"""What surviving a power cut costs: `batch` against `process`, the real command, in turn.

    python -m tests.proofs.durability --lines 3000 --rounds 5

Whole processes, CPU (user and system, the writer's too) and wall time, medians over interleaved rounds. The
output lies in the folder for temporary files, or in --folder: it should be a disk.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from tests.harness import ApiServer, Crawl, write_list

LEVELS = ("batch", "process")


def measure(lines: int, rounds: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Level -> medians of CPU seconds and wall seconds."""
    found: dict[str, list[tuple[float, float]]] = {level: [] for level in LEVELS}
    with ApiServer() as api:
        items = write_list(folder / "items.txt", [api.url(f"/items/{number}") for number in range(lines)])
        for number in range(rounds + 1):
            for level in LEVELS if number % 2 else LEVELS[::-1]:
                out = folder / level
                before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                result = Crawl(folder, settings={"APIFETCH_DURABILITY": level})(items, out=str(out), timeout_s=600)
                wall_s = time.monotonic() - began_s
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                assert result.returncode == 0
                cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                if number:  # the first round warms up
                    found[level].append((cpu_s, wall_s))
                shutil.rmtree(out)
    return {
        level: (statistics.median(cpu for cpu, _ in runs), statistics.median(wall for _, wall in runs))
        for level, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(arguments.lines, arguments.rounds, Path(folder))
    (batch_cpu, batch_wall), (process_cpu, process_wall) = found["batch"], found["process"]
    print(
        f"{arguments.lines} lines, {arguments.rounds} rounds: CPU {batch_cpu:.2f} s against {process_cpu:.2f} s, "
        f"{batch_cpu / process_cpu:.2f} times; wall {batch_wall:.2f} s against {process_wall:.2f} s, "
        f"{batch_wall / process_wall:.2f} times"
    )


if __name__ == "__main__":
    main()
