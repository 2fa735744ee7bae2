"""`scrapy forget OUT --uuids FILE`: calls whose bodies and personal columns are to be gone for good."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "OUT --uuids FILE"

    def short_desc(self) -> str:
        return "Erase bodies and personal columns of some calls for good; they are never fetched again"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--uuids", metavar="FILE", help="a uuid a line; - for the standard input")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        # Not at the top: every `scrapy` call loads this module.
        from crawler.accounting import code_of  # noqa: PLC0415
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415

        if len(args) != 1 or not opts.uuids:
            raise UsageError("say where, and what: scrapy forget out/items --uuids FILE", print_help=False)
        try:
            assert self.settings is not None
            self.exitcode = _forget(args[0], self.settings.get("APIFETCH_LOCAL", "out"), read_uuids(opts.uuids))
        except ApiFetchError as exc:
            sys.stderr.write(f"scrapy forget: {exc}\n")
            self.exitcode = int(code_of(exc))


def read_uuids(name: str) -> list[bytes]:
    """The uuids of a file. Raises ArgumentError: nothing is erased while one of them cannot be read."""
    from crawler.exceptions import ArgumentError  # noqa: PLC0415

    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8"
        raise ArgumentError("--uuids", name, f"a file with a uuid a line ({why})") from exc
    uuids = []
    for number, line in enumerate(text.splitlines(), 1):
        if word := line.strip():
            try:
                uuids.append(UUID(word).bytes)
            except ValueError as exc:
                raise ArgumentError("--uuids", name, f"a uuid in line {number}, not {word[:50]!r}") from exc
    return uuids


def _forget(out: str, local: str, uuids: list[bytes]) -> int:
    from crawler.checking import FOUND  # noqa: PLC0415
    from crawler.store.forgetting import RETOLD, forget  # noqa: PLC0415
    from crawler.store.ledger import Ledger  # noqa: PLC0415
    from crawler.store.outputs import held, refuse_packs  # noqa: PLC0415
    from crawler.store.reading import identity, levels_of, open_ledger  # noqa: PLC0415

    with held(out, local) as hold:
        refuse_packs(hold.place.directory, "forgotten")
        with open_ledger(hold.place.directory) as db:
            levels = levels_of(identity(db))
        with closing(Ledger(hold.place.directory, durable=True)) as ledger:
            done = forget(hold.place, ledger, uuids, levels=levels)
        for name in RETOLD:
            hold.put(name)
        hold.hand_over()
    print(f"Erased: {done.erased:,} calls, {done.files + done.lines:,} {'lines' if done.lines else 'files'}")
    for uuid in done.unknown:
        sys.stderr.write(f"scrapy forget: {uuid} is not in the ledger\n")
    return FOUND if done.unknown else 0
