"""`scrapy export OUT --to FILE`: records, with the list's own columns and with or without bodies, for other tools."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse

    from crawler.export import Export, Options


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "OUT --to FILE"

    def short_desc(self) -> str:
        return "Write the records of an output directory as .jsonl, .csv, .parquet or .warc.gz"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--to", metavar="FILE", help=".jsonl .csv .parquet .warc, also .gz or .zst; - for stdout")
        parser.add_argument("--format", help="jsonl, csv, parquet or warc, where the name does not say it")
        parser.add_argument("--bodies", action="store_true", help="with the bodies (warc always has them)")
        parser.add_argument("--outcome", metavar="OUTCOMES", help="only these, as ok,http_error")
        parser.add_argument("--status", metavar="STATUSES", help="only these, as 200,404,5xx")
        parser.add_argument("--keep-formulas", action="store_true", help="csv: cells that a spreadsheet would run, too")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        # Not at the top: every `scrapy` call loads this module.
        from crawler.accounting import code_of  # noqa: PLC0415
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415

        if len(args) != 1 or not opts.to:
            raise UsageError("say what goes where: scrapy export out/items --to items.csv", print_help=False)
        os.umask(0o077)
        try:
            assert self.settings is not None
            self.exitcode = _export(args[0], self.settings.get("APIFETCH_LOCAL", "out"), opts)
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except ApiFetchError as exc:
            sys.stderr.write(f"scrapy export: {exc}\n")
            self.exitcode = int(code_of(exc))


def _export(out: str, local: str, opts: argparse.Namespace) -> int:
    from crawler.checking import FOUND  # noqa: PLC0415
    from crawler.export import Export  # noqa: PLC0415
    from crawler.store.outputs import to_read  # noqa: PLC0415
    from crawler.store.reading import reading  # noqa: PLC0415
    from crawler.telling import Telling  # noqa: PLC0415

    options = _options(opts)
    with to_read(out, local) as directory, reading(directory) as opened, Telling(sys.stderr) as telling:
        total = opened.count(options.chosen)
        export = Export(opened, opts.to, options)
        export.tell = lambda written: telling.say(lambda: f"{written:,} of {total:,} records")
        export.write(Path(opts.to))
    return _conclude(out, export, total, FOUND)


def _conclude(out: str, export: Export, total: int, found: int) -> int:
    left = f" of {total:,}; the others have no answer" if export.written < total else ""
    sys.stderr.write(f"{export.written:,} records{left} to {export.name}\n")
    for reason in export.broken[:10]:
        sys.stderr.write(f"scrapy export: without its body: {reason}\n")
    if export.broken:
        count = len(export.broken)
        sys.stderr.write(f"scrapy export: {count:,} bodies are missing or altered: scrapy verify {out} --repair\n")
    return found if export.broken else 0


def _options(opts: argparse.Namespace) -> Options:
    from crawler.exceptions import ArgumentError  # noqa: PLC0415
    from crawler.export import FORMATS, Options, find_format  # noqa: PLC0415
    from crawler.items import Outcome  # noqa: PLC0415
    from crawler.store.reading import Chosen  # noqa: PLC0415
    from crawler.values import STATUSES  # noqa: PLC0415

    if opts.format is not None and opts.format not in FORMATS:
        raise ArgumentError("--format", opts.format, " or ".join(FORMATS))
    known = [*Outcome, "pending", "sent"]
    outcomes = opts.outcome.split(",") if opts.outcome is not None else []
    if unknown := [outcome for outcome in outcomes if outcome not in known]:
        raise ArgumentError("--outcome", unknown[0], ", ".join(known))
    statuses: frozenset[int] = frozenset()
    if opts.status is not None:
        try:
            statuses = STATUSES.parse(opts.status)
        except ValueError as exc:
            raise ArgumentError("--status", opts.status, STATUSES.expected) from exc
    kind, packing = find_format(opts.to, opts.format)
    return Options(
        format=kind, packing=packing, chosen=Chosen(frozenset(outcomes), statuses), bodies=opts.bodies,
        keep_formulas=opts.keep_formulas,
    )  # fmt: skip
