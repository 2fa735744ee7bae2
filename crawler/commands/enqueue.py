"""`scrapy enqueue FILE redis://host/0/name`: puts a list where several machines draw from it, closes it, looks at it.

Owns what is said to a person. What an entry is, and how it gets there once, is decided in crawler.distributed.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from crawler.distributed.server import Server
    from crawler.sources import SharedAddress

ENV_FILE: Final = "env_file"


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "[FILE] redis://HOST:PORT/DB/NAME [--close] [-a NAME=VALUE]..."

    def short_desc(self) -> str:
        return "Put a list into Redis, where the workers of several machines draw from it"

    def long_desc(self) -> str:
        return (
            "Add the lines of FILE (any list that `scrapy crawl apifetch -a urls=FILE` takes) to a shared list, each "
            "call once, however often it is added. Without FILE: say how far the list is. Workers on any machine: "
            "`scrapy crawl apifetch -a urls=redis://HOST:PORT/DB/NAME`."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE",
            help=f"as in `scrapy crawl`: {', '.join(_taken())}",
        )  # fmt: skip
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--close", action="store_true", help="nothing more will come: workers end when all is done")
        which.add_argument("--open", action="store_true", help="more may come, to a list that was closed")

        parser.add_argument(
            "--workers", type=int, metavar="N", help="calls at once of all workers together; 0: as many as each wants"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415  # every `scrapy` call loads this module
        from crawler.sources import is_shared  # noqa: PLC0415

        if (
            not args
            or len(args) > 2
            or not is_shared(args[-1])
            or (len(args) == 1 and any(not said.startswith(f"{ENV_FILE}=") for said in opts.spargs))
            or (opts.workers or 0) < 0
        ):
            raise UsageError(
                "say what goes where: scrapy enqueue urls/items.txt redis://10.0.0.5/0/items", print_help=False
            )
        try:
            self._enqueue(args, opts)
        except ApiFetchError as exc:
            sys.stderr.write(f"scrapy enqueue: {exc}\n")
            self.exitcode = 2

    def _enqueue(self, args: list[str], opts: argparse.Namespace) -> None:
        from crawler.distributed.first import first  # noqa: PLC0415
        from crawler.distributed.server import GoneError, Server  # noqa: PLC0415
        from crawler.exceptions import ListError  # noqa: PLC0415

        values, address = self._values(args[0], args[-1], opts)
        server = Server(address, ca_file=values["APIFETCH_CA_FILE"])
        first(server, server.begin)
        try:
            if opts.workers is not None:
                server.set_workers(opts.workers)
            if opts.open:
                server.close_list(False)
            if len(args) == 2:
                _fill(server, args[0], values)
            if opts.close:
                server.close_list(True)
            _tell(server)
        except GoneError as exc:
            raise ListError(f"{server.address}: Redis does not answer any more ({exc})") from exc
        finally:
            server.disconnect()

    def _values(self, urls: str, shared: str, opts: argparse.Namespace) -> tuple[dict[str, Any], SharedAddress]:
        """The settings by which the list is read, and where it goes. Raises ArgumentError, SecretError."""
        from scrapy.spiderloader import get_spider_loader  # noqa: PLC0415

        from crawler.credentials import Secrets  # noqa: PLC0415
        from crawler.exceptions import ArgumentError  # noqa: PLC0415
        from crawler.secrets import STARS  # noqa: PLC0415
        from crawler.sources import SharedAddress, is_shared  # noqa: PLC0415

        arguments = dict(said.partition("=")[::2] for said in opts.spargs)
        if unknown := [name for name in arguments if name not in _taken()]:
            # without its value: `headers` may hold a key
            raise ArgumentError(unknown[0], STARS, f"one of {', '.join(_taken())}: the others are the workers'")
        of_secrets = {name: value for name, value in arguments.items() if name == ENV_FILE}
        assert self.settings is not None
        spider: Any = get_spider_loader(self.settings).load("apifetch")
        values: dict[str, Any] = spider.read_arguments(self.settings, {"urls": shared, **of_secrets})
        address = SharedAddress.of(shared)
        secrets = Secrets(
            address.names, environ=os.environ, env_file=values["APIFETCH_ENV_FILE"],
            command=values["APIFETCH_SECRET_COMMAND"],
        )  # fmt: skip
        address = address.filled(secrets.values)
        if urls == shared:
            return values, address
        if is_shared(urls):
            raise ArgumentError("FILE", "redis://...", "a list that is not shared already")
        return dict(spider.read_arguments(self.settings, {**arguments, "urls": urls})), address


def _taken() -> tuple[str, ...]:
    """The arguments of a crawl that say what a list holds, and by which it is reached."""
    from crawler.arguments import OF_A_LIST  # noqa: PLC0415  # every `scrapy` call loads this module

    return (*OF_A_LIST, ENV_FILE)


def _fill(server: Server, urls: str, values: Mapping[str, Any]) -> None:
    from contextlib import ExitStack  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from crawler.amounts import counted as amount  # noqa: PLC0415
    from crawler.distributed.filling import fill  # noqa: PLC0415
    from crawler.plan import absolute, shape_of  # noqa: PLC0415
    from crawler.sources import download, is_remote, members, open_list  # noqa: PLC0415
    from crawler.telling import Telling  # noqa: PLC0415

    with ExitStack() as opened:
        path = urls
        if is_remote(urls):
            folder = Path(opened.enter_context(TemporaryDirectory(prefix="apifetch-enqueue-")))
            path = download(urls, folder, ca_file=values["APIFETCH_CA_FILE"])
        found = members(path)
        files = None if found is None else [absolute(file) for file in found]
        source = opened.enter_context(closing(open_list(path, files, shape_of(values), limit=values["APIFETCH_LIMIT"])))
        telling = opened.enter_context(Telling(sys.stderr))
        name = None if files is not None else absolute(urls)
        filled = fill(
            server, source, name=name,
            told=lambda filled: telling.say(lambda: f"{amount(filled.lines, 'line')} read, {filled.added:,} added"),
        )  # fmt: skip
    known = filled.lines - filled.added
    bad = f" ({filled.bad:,} of the lines are no calls, and become records all the same)" if filled.bad else ""
    print(f"{amount(filled.lines, 'line')} read, {filled.added:,} added, {known:,} in the list already{bad}")


def _tell(server: Server) -> None:
    from crawler.amounts import counted as amount  # noqa: PLC0415

    standing, total = server.standing(), server.total()
    state = "closed" if standing.is_closed else "open"
    state += f", {server.workers():,} calls at once" if server.workers() else ""
    print(f"{server.address}: {state}, {amount(total, 'entry', 'entries')}, {standing.left:,} of them not done")
