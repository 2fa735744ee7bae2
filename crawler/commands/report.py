"""`scrapy report OUT`: report.html made anew from the ledger, or what is missing of a list in parts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "OUT [--run N]"

    def short_desc(self) -> str:
        return "Write report.html, a page with plots about a run, into its output directory"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--run", type=int, metavar="N", help="which run (default: the latest that made calls)")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        # Not at the top: every `scrapy` call loads this module.
        from crawler.accounting import code_of  # noqa: PLC0415
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415
        from crawler.report import write_report  # noqa: PLC0415
        from crawler.report.shards import shards  # noqa: PLC0415
        from crawler.store.outputs import put, to_read  # noqa: PLC0415

        if len(args) != 1:
            raise UsageError("say which output directory: scrapy report out/items", print_help=False)
        os.umask(0o077)
        assert self.settings is not None
        local = self.settings.get("APIFETCH_LOCAL", "out")
        try:
            with to_read(args[0], local) as out:
                for line in shards(out, shown=args[0]):
                    print(line)
                print(put(args[0], local, write_report(out, run=opts.run)))
        except (ApiFetchError, LookupError) as exc:
            sys.stderr.write(f"scrapy report: {exc}\n")
            self.exitcode = int(code_of(exc))
