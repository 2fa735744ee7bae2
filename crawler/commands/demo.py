"""`scrapy demo`: the whole thing seen to work, against a small API on this machine. No network needed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scrapy.commands import ScrapyCommand
from scrapy.utils.conf import closest_scrapy_cfg

if TYPE_CHECKING:
    import argparse

FOLDER: Final = Path("out/demo")
WRITTEN_FOR: Final = "http://127.0.0.1:8765"
"""The address in the lists of urls/; the demo's API takes any free port."""

ROUTES: Final = ("/items/{}", "/slow/{}", "/missing/{}", "/flaky/{}")
"""What the list is made of where urls/ is not at hand, as in an egg."""


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        return "Run the real crawl command against a small API on this machine"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:  # noqa: ARG002  # Scrapy's signature
        if (FOLDER / "demo.txt").exists():
            shutil.rmtree(FOLDER)
        FOLDER.mkdir(parents=True)
        api = subprocess.Popen(
            [sys.executable, "-m", "crawler.demo.api", "--with-parent"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert api.stdout is not None
            origin = api.stdout.readline().removeprefix("listening on ").strip()
            if not origin:
                self._fail("the demo API did not start")
                return
            self._show(origin)
        finally:
            api.terminate()
            api.wait()

    def _show(self, origin: str) -> None:
        items = FOLDER / "demo.txt"
        items.write_text(_list().replace(WRITTEN_FOR, origin))
        out = FOLDER / "items"
        command = ["scrapy", "crawl", "apifetch", "-a", f"urls={items}", "-a", f"out={out}"]
        print(f"A small API listens on {origin}: items of some 20 kB, some slow, some missing, some that fail once.\n")
        codes = []
        for again in (False, True):
            print("\nThe same command again, as after a crash:\n" if again else "", end="")
            print(f"$ {' '.join(command)}", flush=True)
            codes.append(subprocess.run([sys.executable, "-m", *command], check=False).returncode)
        summary = json.loads((out / "summary.json").read_text())
        urls = {line for line in items.read_text().splitlines() if line.startswith("http")}
        missing = sum("/missing/" in url for url in urls)
        wanted = {"ok": len(urls) - missing, "failed": missing, "left": 0}
        found = {name: summary["equation"][name] for name in wanted}
        if codes != [8 if missing else 0] * 2 or found != wanted:
            self._fail(f"expected {wanted}, but found {found}, with exit codes {codes}")
            return
        print(f"\nAs it should be: {wanted['ok']} bodies are on disk, {missing} are not there (404). Have a look:\n")
        for line in _looks(out):
            print(f"  {line}")

    def _fail(self, why: str) -> None:
        print(f"The demo did not come out as it should: {why}", file=sys.stderr)
        self.exitcode = 1


def _list() -> str:
    config = closest_scrapy_cfg()
    path = Path(config).parent / "urls" / "items.txt"
    if config and path.exists():
        return path.read_text()
    return "".join(f"{WRITTEN_FOR}{route.format(number)}\n" for number in range(10) for route in ROUTES)


def _looks(out: Path) -> list[str]:
    """Commands to look at the result, of the programs that are here."""
    answers = f"{out}/responses/*/*.json"
    looks = {
        "head": f"head -c 600 $(ls {answers} | head -1)",
        "jq": f"jq -c '[.status, .elapsed_ms, .url]' {answers} | head -5",
        "sqlite3": f"sqlite3 {out}/ledger.sqlite 'select outcome, status, count(*) from records group by 1, 2'",  # noqa: S608  # shown, not run
        "cat": f"cat {out}/failed.jsonl",
        "less": f"less {out}/summary.json",
    }
    return [line for program, line in looks.items() if shutil.which(program)]
