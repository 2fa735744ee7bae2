"""`scrapy verify OUT`: every file against the ledger, and with --repair what is broken fetched again.

Owns: what is said to a person, the lock while it lasts, and the crawl that repairs. What is wrong, and how it
is mended, is decided in crawler.checking.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from crawler.checking import Finding, Progress, Repair
    from crawler.items import BadLine, Entry
    from crawler.store.place import Place

_NOT_REPEATED: Final = {
    "urls",
    "column",
    "template",
    "method",
    "data",
    "format",
    "out",
    "redo",
    "limit",
    "echo",
    "shard",
    "max_failed",
    "max_calls",
}
"""Arguments of the last run that say nothing about how a call is made."""


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "OUT [--repair] [-a NAME=VALUE]..."

    def short_desc(self) -> str:
        return "Check every file of an output directory against its ledger, and fetch again what is broken"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--repair", action="store_true", help="mend rows, remove orphans, fetch the rest again")
        parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one for each core)")
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE",
            help="an argument of the crawl that repairs, such as headers, which the ledger does not keep",
        )  # fmt: skip
        parser.add_argument("--spider", default="apifetch", metavar="NAME", help="of the crawl (default: apifetch)")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        # Not at the top: every `scrapy` call loads this module.
        from crawler.accounting import code_of  # noqa: PLC0415
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415

        if len(args) != 1:
            raise UsageError("say which output directory: scrapy verify out/items", print_help=False)
        if opts.jobs is not None and opts.jobs < 1:
            raise UsageError(f"--jobs={opts.jobs}: expected a whole number, 1 or more", print_help=False)
        os.umask(0o077)
        try:
            assert self.settings is not None
            self.exitcode = _verify(args[0], self.settings.get("APIFETCH_LOCAL", "out"), opts)
        except ApiFetchError as exc:
            sys.stderr.write(f"scrapy verify: {exc}\n")
            self.exitcode = int(code_of(exc))


def _verify(named: str, local: str, opts: argparse.Namespace) -> int:
    from crawler.checking import FOUND, REPAIR  # noqa: PLC0415
    from crawler.store.outputs import held, refuse_packs  # noqa: PLC0415

    with held(named, local) as hold:
        out = hold.place.directory
        if opts.repair:
            refuse_packs(out, "mended")
        findings, said = _check(out, opts, None)
        print(said)
        if not findings or not opts.repair:
            return FOUND if findings else 0
        arguments, settings = _arguments(out, opts)
        done = _mend(hold.place, findings)
        hold.hand_over()
    code = _fetch_again(opts, arguments, settings) if done.again else 0
    with held(named, local):
        left, said = _check(out, opts, {name for finding in findings for name in finding.names})
    print(f"After the repair: {said}")
    if not left:
        (out / REPAIR).unlink(missing_ok=True)
    return FOUND if left else code


def _check(out: Path, opts: argparse.Namespace, names: Collection[str] | None) -> tuple[list[Finding], str]:
    """What is wrong, printed as it is found, and the sentence about it."""
    from crawler.checking import Check  # noqa: PLC0415
    from crawler.telling import Telling  # noqa: PLC0415

    findings = []
    with Telling(sys.stderr) as telling:
        check = Check(out, jobs=opts.jobs, tell=lambda progress: telling.say(lambda: _shown(progress)))
        for finding in check.findings(names):
            telling.clear()
            print(*filter(None, (finding.kind, finding.location, finding.url, finding.detail)), sep="\t", flush=True)
            findings.append(finding)
    return findings, _shown(check.progress)


def _shown(progress: Progress) -> str:
    wrong = ", ".join(f"{count:,} {kind}" for kind, count in progress.wrong.items()) or "nothing wrong"
    of = f" of {progress.total:,}" if progress.records < progress.total else ""
    wrong += f"; {progress.idle:,} lines are older answers, which no row names" if progress.idle else ""
    return f"{progress.records:,}{of} records, {progress.files:,} files, {progress.bytes / 1e6:,.1f} MB: {wrong}"


def _arguments(out: Path, opts: argparse.Namespace) -> tuple[dict[str, object], dict[str, object]]:
    """Arguments and settings of the crawl that repairs: those of the last run, and what is given now.

    Raises ArgumentError where the ledger does not keep what the last run was given.
    """
    from crawler.arguments import ARGUMENTS  # noqa: PLC0415
    from crawler.checking import REPAIR  # noqa: PLC0415
    from crawler.exceptions import ArgumentError  # noqa: PLC0415
    from crawler.store.reading import identity, last_arguments, open_ledger  # noqa: PLC0415

    given = dict(said.partition("=")[::2] for said in opts.spargs)
    with open_ledger(out) as db:
        known = identity(db)
        last = last_arguments(db)
    arguments: dict[str, object] = {}
    for row in ARGUMENTS:
        value = known.get(row.name) or last.get(row.name)
        if value is None or row.name in _NOT_REPEATED or str(value) == str(row.default):
            continue
        if row.private and row.name not in given and known.get(row.name) != value:
            raise ArgumentError(row.name, None, f"-a {row.name}=... as the last run had it: the ledger keeps no keys")
        arguments[row.name] = value
    arguments |= given | {"urls": out / REPAIR, "out": str(out).replace("%", "%%"), "redo": "none"}
    return arguments, {name: value for name, value in known.items() if name.startswith("APIFETCH_")}


def _mend(place: Place, findings: list[Finding]) -> Repair:
    from crawler.checking import repair  # noqa: PLC0415
    from crawler.store.ledger import Ledger  # noqa: PLC0415
    from crawler.store.reading import identity, last_arguments, open_ledger  # noqa: PLC0415

    with open_ledger(place.directory) as db:
        known, format_ = identity(db), last_arguments(db).get("format")
    with closing(Ledger(place.directory, durable=True)) as ledger:
        done = repair(place, ledger, findings, lambda: _lines(known, format_))
    print(f"Rows restored from whole files: {done.restored:,}. Orphans removed: {done.removed:,}.", end=" ")
    print(f"Calls to be made again: {done.again:,}.", flush=True)
    for finding in done.lost:
        print(f"Nobody can tell the call of {finding.location}: its line has left the list, {known['urls']}")
    return done


def _lines(known: dict[str, str], format_: str | None) -> Iterator[Entry | BadLine]:
    """The list that the directory belongs to, line by line; nothing if it came by a pipe or from the web."""
    from crawler.sources import STDIN, Shape, is_url, members, open_list  # noqa: PLC0415

    if known["urls"] == STDIN or is_url(known["urls"]):
        return
    shape = Shape(
        format=format_, column=known.get("column", "url"),
        template=known.get("template"), method=known.get("method"), data=known.get("data"),
    )  # fmt: skip
    source = open_list(known["urls"], members(known["urls"]), shape)
    try:
        while batch := source.next_batch(1000):
            yield from batch
    finally:
        source.close()


def _fetch_again(opts: argparse.Namespace, arguments: dict[str, object], settings: dict[str, object]) -> int:
    """Crawl what is to be fetched again; the exit code of that."""
    from crawler.library.child import crawl_command, crawl_environment  # noqa: PLC0415

    settings |= dict(said.partition("=")[::2] for said in opts.set)
    command = crawl_command(arguments, settings, spider=opts.spider)
    return subprocess.run(command, env=crawl_environment(), check=False).returncode
