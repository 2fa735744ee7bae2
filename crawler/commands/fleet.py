"""`scrapy fleet FILE`: a list taken in parts by several processes at once, then brought together.

Owns what is said on the command line. What each part is told, and what its end means, is crawler.fleet's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from crawler.fleet import Engine, Fleet, Part
    from crawler.fleet.closing import Sum
    from crawler.fleet.sums import Sums
    from crawler.fleet.watching import Watching


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "FILE [-a NAME=VALUE]... [--processes auto|N] [--scrapyd URL]..."

    def short_desc(self) -> str:
        return "Fetch a list with several processes, for all cores of a machine"

    def long_desc(self) -> str:
        return (
            "Take a list in parts (docs/scaling.md), a process each, all at once; then bring them together, so that "
            "there is one ledger, one summary.json, one failed.jsonl and one report.html. FILE and -a are those of "
            "`scrapy crawl apifetch`; workers, per_host, max_calls and rate are of all processes together. The same "
            "command again goes on where it ended, with any number of processes. With --scrapyd the parts are jobs of "
            "scrapyds instead (docs/scrapyd.md)."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE", help="as in `scrapy crawl`"
        )
        parser.add_argument(
            "--processes", default="auto", metavar="auto|N", help="(default: auto, the cores that may be used)"
        )
        parser.add_argument(
            "--scrapyd", action="append", default=[], metavar="URL",
            help="run the parts there, for instance http://127.0.0.1:6800; as often as there are servers",
        )  # fmt: skip
        parser.add_argument(
            "--project", default="apifetch", metavar="NAME", help="what it is called there (default: apifetch)"
        )
        parser.add_argument("--spider", default="apifetch", metavar="NAME", help="(default: apifetch)")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415  # every `scrapy` call loads this module

        arguments = dict(said.partition("=")[::2] for said in opts.spargs)
        if len(args) > 1 or not (args or "urls" in arguments):
            raise UsageError("say which list: scrapy fleet urls/items.txt --processes auto", print_help=False)
        if args:
            arguments["urls"] = args[0]
        try:
            values = self._checked(arguments, opts)
            fetch = self._fetch_elsewhere if opts.scrapyd else self._fetch
            self.exitcode = asyncio.run(fetch(arguments, values, opts))
        except ApiFetchError as exc:
            _say(str(exc))
            self.exitcode = 2

    def _checked(self, arguments: Mapping[str, str], opts: argparse.Namespace) -> dict[str, Any]:
        """Every setting, typed. Raises ApiFetchError for what would be each part's error."""
        from scrapy.spiderloader import get_spider_loader  # noqa: PLC0415

        from crawler.exceptions import ArgumentError  # noqa: PLC0415
        from crawler.plan import shape_of  # noqa: PLC0415
        from crawler.sources import STDIN, check_list  # noqa: PLC0415

        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        if opts.spider not in loader.list():
            known = ", ".join(sorted(loader.list()))
            raise UsageError(f"no spider is called {opts.spider!r}; there is {known}", print_help=False)
        if "shard" in arguments:
            raise ArgumentError("shard", arguments["shard"], "none, since a fleet gives each process its own")
        if arguments["urls"] == STDIN:
            raise ArgumentError("urls", STDIN, "a list that every process can read")
        spider: Any = loader.load(opts.spider)
        values: dict[str, Any] = spider.read_arguments(self.settings, arguments)
        if not opts.scrapyd:  # whose list it is
            check_list(values["APIFETCH_URLS"], shape_of(values))
        return values

    async def _fetch(self, arguments: Mapping[str, str], values: Mapping[str, Any], opts: argparse.Namespace) -> int:
        """Run the parts, then the whole; returns the exit code."""
        from crawler.amounts import counted  # noqa: PLC0415
        from crawler.fleet import parts_of  # noqa: PLC0415
        from crawler.fleet.cores import cores  # noqa: PLC0415
        from crawler.fleet.processes import Processes, tell  # noqa: PLC0415
        from crawler.fleet.shares import count_of  # noqa: PLC0415
        from crawler.fleet.verdicts import COMPLETE  # noqa: PLC0415

        useful, reason = cores()
        count, why = count_of(opts.processes, values, (useful, reason))
        more = f"; more than {useful} gain nothing, since {reason}" if count > useful else ""
        _say(f"{counted(count, 'process', 'processes')}: {why}{more}")
        whole = _whole(arguments, values, opts)
        parts = parts_of(whole, values, count) if count > 1 else [whole]
        code, done = await self._follow(parts, Processes(tell), values)
        if count == 1:
            return code
        if code not in COMPLETE:
            _say(f"{done}. {whole.where} is in parts; the same command again goes on")
            return code
        return await _bring_together(whole, done)

    async def _fetch_elsewhere(
        self, arguments: Mapping[str, str], values: Mapping[str, Any], opts: argparse.Namespace
    ) -> int:
        """The same by jobs of scrapyds; brought together where all of them wrote to this machine."""
        from crawler.amounts import counted  # noqa: PLC0415
        from crawler.fleet import Fleet, gathering, parts_of  # noqa: PLC0415
        from crawler.fleet.elsewhere import check_paths, is_here, share_rate, where  # noqa: PLC0415
        from crawler.fleet.scrapyds import Scrapyds  # noqa: PLC0415
        from crawler.fleet.server import Server  # noqa: PLC0415
        from crawler.fleet.shares import count_of  # noqa: PLC0415
        from crawler.fleet.verdicts import COMPLETE  # noqa: PLC0415
        from crawler.fleet.watched import agree  # noqa: PLC0415

        whole = _whole(arguments, values, opts)
        check_paths(arguments, values, whole.settings)
        servers = [Server(url, environ=os.environ) for url in opts.scrapyd]
        count, why = count_of(opts.processes, values, (len(servers), "one a server"))
        parts = parts_of(whole, values, count) if count > 1 else [whole]
        version = agree(servers, opts.project, opts.spider, _say)
        _say(f"{counted(count, 'part')}: {why}")
        async with Scrapyds(servers, project=opts.project, version=version, tell=_say) as engine:
            parts = [share_rate(part, values, servers) for part in parts]
            code, done = await self._follow(parts, engine, values)
            if code in COMPLETE and count > 1 and whole.url is not None:  # which every server can reach
                _say("all parts are complete, and are brought together")
                code = await _run(Fleet([gathering(whole)], engine, tell=_say))
        if code not in COMPLETE:
            _say(f"{done}. Not all is done; the same command again goes on")
        elif count > 1 and whole.url is None and is_here(engine.ends):
            return await _bring_together(whole, done)
        else:
            ends = where(engine.ends) if whole.url is None else [f"the results are in {whole.url}"]
            for line in (str(done), *ends):
                _say(line)
        return code

    async def _follow(self, parts: Sequence[Part], engine: Engine, values: Mapping[str, Any]) -> tuple[int, Sum]:
        """See all parts to their ends, in sight; returns the worst exit code, and what they did."""
        from crawler.fleet import Fleet  # noqa: PLC0415
        from crawler.fleet.closing import Sum  # noqa: PLC0415
        from crawler.fleet.sums import Sums  # noqa: PLC0415
        from crawler.sources import list_name  # noqa: PLC0415

        began_s = time.monotonic()
        sums = Sums(list_name(values["APIFETCH_URLS"]), len(parts))
        fleet = Fleet(parts, engine, tell=_say, show=_watching(sums, values, self.settings))
        code = await _run(fleet)
        calls = sums.calls if sums.knows_all else None
        seconds = round(time.monotonic() - began_s, 3)
        return code, Sum(processes=len(parts), seconds=seconds, calls=calls, restarts=fleet.restarts)


async def _bring_together(whole: Part, done: Sum) -> int:
    """Make one directory of complete parts; returns the exit code of the whole."""
    from crawler.fleet import Fleet, gathering  # noqa: PLC0415
    from crawler.fleet.closing import note  # noqa: PLC0415
    from crawler.fleet.processes import Processes, tell  # noqa: PLC0415
    from crawler.fleet.verdicts import COMPLETE  # noqa: PLC0415

    _say("all parts are complete, and are brought together")
    code = await _run(Fleet([gathering(whole)], Processes(tell), tell=_say))
    if code in COMPLETE:
        note(whole, done)
        _say(f"{done}")
    return code


def _whole(arguments: Mapping[str, str], values: Mapping[str, Any], opts: argparse.Namespace) -> Part:
    """The command that one process would have got."""
    from crawler.fleet import Part  # noqa: PLC0415
    from crawler.plan import output  # noqa: PLC0415

    settings = dict(text.partition("=")[::2] for text in opts.set)
    if opts.loglevel:
        settings["LOG_LEVEL"] = opts.loglevel
    out, url = output(values["APIFETCH_URLS"], values["APIFETCH_OUT"], values["APIFETCH_LOCAL"])
    return Part(spider=opts.spider, out=out, url=url, arguments=arguments, settings=settings)


def _say(line: str) -> None:
    sys.stderr.write(f"scrapy fleet: {line}\n")
    sys.stderr.flush()


def _watching(sums: Sums, values: Mapping[str, Any], settings: Any) -> Watching:
    """A bar where somebody looks, by the same settings as that of one run."""
    from crawler.fleet.watching import Watching  # noqa: PLC0415
    from crawler.telling import wants_bar  # noqa: PLC0415

    shows, bar = values["APIFETCH_PROGRESS"], None
    if wants_bar(shows, sys.stderr, os.environ, logs_to_file=bool(settings.get("LOG_FILE"))):
        from crawler.bar import TerminalBar  # noqa: PLC0415  # 60 ms of imports, for terminals only

        bar = TerminalBar(sys.stderr)
    return Watching(sums, bar=bar, line_s=0.0 if shows == "off" else values["APIFETCH_PROGRESS_S"], tell=_say)


async def _run(fleet: Fleet) -> int:
    """Run it to its end; Ctrl-C and SIGTERM stop it in good order, and at once the second time."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, fleet.stop)
    return await fleet.run()
