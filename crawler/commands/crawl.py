"""`scrapy crawl`, with an exit code that says how the run went, and arguments checked before it begins.

Spiders that are not of this project's kind keep Scrapy's own behaviour and its codes 0 and 1.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy import signals
from scrapy.commands import ScrapyHelpFormatter
from scrapy.commands.crawl import Command as ScrapyCrawl
from scrapy.exceptions import UsageError
from scrapy.settings import overridden_settings

from crawler.garbage import collect_less

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

_CHATTER: Final = (
    "Overridden settings",
    "Enabled ",
    "Scrapy %(version)s started",
    "Spider opened",
    "Spider closed",
    "Closing spider",
    "Crawled %(pages)d pages",
)
"""How INFO lines begin that list components and settings, or count pages: for DEBUG, not for everyone."""

_CHATTERING: Final = (
    "scrapy.addons", "scrapy.core.engine", "scrapy.crawler", "scrapy.extensions.logstats", "scrapy.middleware",
    "scrapy.utils.log",
)  # fmt: skip


class Command(ScrapyCrawl):
    def short_desc(self) -> str:
        return "Run a spider; `scrapy crawl apifetch -a urls=FILE` fetches a list of API calls"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.formatter_class = _Help
        parser.epilog = _arguments_help()

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        if not args:
            raise UsageError("say what to run: scrapy crawl apifetch -a urls=FILE", print_help=False)
        if len(args) > 1:
            hint = f"if {args[1]} is the list, say: scrapy crawl {args[0]} -a urls={args[1]}"
            raise UsageError(f"one spider at a time; {hint}", print_help=False)
        spider = self._spider(args)
        if spider is not None and hasattr(spider, "read_arguments"):
            self._check(spider, opts)
            if self.settings["LOG_LEVEL"] != "DEBUG":
                for name in _CHATTERING:  # filters, since configure_logging sets levels back
                    logging.getLogger(name).addFilter(lambda record: not str(record.msg).startswith(_CHATTER))

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:  # Scrapy's command says what is wrong
            super().run(args, opts)
            return
        assert self.crawler_process is not None
        crawler = self._create_crawler(args[0])
        if hasattr(crawler.spidercls, "read_arguments"):
            crawler.signals.connect(collect_less, signals.engine_started)
            logging.getLogger("scrapy.crawler").addFilter(lambda record: _mask_settings(record, crawler))
        self.crawler_process.crawl(crawler, **opts.spargs)
        self.crawler_process.start()
        for number in (signal.SIGINT, signal.SIGTERM):  # all is over: a second Ctrl-C must not change the exit code
            signal.signal(number, signal.SIG_IGN)
        if self.crawler_process.bootstrap_failed:
            self.exitcode = 1
        elif hasattr(crawler.spidercls, "read_arguments"):
            # Without a code it was stopped twice: nothing acknowledged is lost, and the rest is left.
            self.exitcode = crawler.stats.get_value("apifetch/exit_code", 75)

    def _spider(self, args: list[str]) -> Any:
        from scrapy.spiderloader import get_spider_loader  # noqa: PLC0415  # every `scrapy` call loads this module

        assert self.settings is not None
        if len(args) != 1:
            return None
        loader = get_spider_loader(self.settings)
        if args[0] not in loader.list():
            known = ", ".join(sorted(loader.list()))
            raise UsageError(f"no spider is called {args[0]!r}; there is {known}", print_help=False)
        return loader.load(args[0])

    def _check(self, spider: Any, opts: argparse.Namespace) -> None:
        """Refuse now, in one line, what would otherwise be a traceback or a lost file later."""
        # Not at the top: every `scrapy` call loads this module.
        from crawler.arguments import HostsNeededError  # noqa: PLC0415
        from crawler.exceptions import ApiFetchError, ArgumentError  # noqa: PLC0415
        from crawler.plan import output_directory, shape_of  # noqa: PLC0415
        from crawler.sources import check_list  # noqa: PLC0415
        from crawler.store.ledgers import ledgers  # noqa: PLC0415

        assert self.settings is not None
        try:
            settings = spider.read_arguments(self.settings, opts.spargs)
            urls = settings["APIFETCH_URLS"]
            check_list(urls, shape_of(settings))
            _check_handler(settings["APIFETCH_HTTP_HANDLER"])
            out = output_directory(urls, settings["APIFETCH_OUT"], settings["APIFETCH_LOCAL"])
            if "_job" in opts.spargs:
                _check_job(out, self.settings)
            for feed in opts.overwrite_output or ():
                if ledgers(out):
                    expected = f"-o {feed}, since {out} has records of earlier runs that the feed would lose"
                    raise ArgumentError("-O", feed, expected)
        except HostsNeededError as exc:
            self._refuse(f"{exc}{_hosts_hint(opts.spargs)}")
        except ApiFetchError as exc:
            self._refuse(str(exc))

    def _refuse(self, message: str) -> None:
        sys.stderr.write(f"scrapy crawl: {message}\n")
        assert self.settings is not None
        if log := self.settings["LOG_FILE"]:  # all that scrapyd shows of a job
            try:
                with Path(log).open("a", encoding=self.settings["LOG_ENCODING"]) as file:
                    file.write(f"{message}\nExit code 2: nothing was requested\n")
            except OSError as exc:
                sys.stderr.write(f"scrapy crawl: {log}: {exc.strerror}\n")
        sys.exit(2)


def _check_job(out: Path, settings: BaseSettings) -> None:
    """Raises ArgumentError. In a job of scrapyd's, LOG_FILE and FEEDS are in folders of which it deletes files."""
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415  # every `scrapy` call loads this module

    from crawler.exceptions import ArgumentError  # noqa: PLC0415

    files = [feed for feed in map(str, settings.getdict("FEEDS")) if urlsplit(feed).scheme in {"", "file"}]
    pruned = [Path(unquote(urlsplit(file).path)).resolve().parent for file in files]
    if settings["LOG_FILE"]:
        pruned.append(Path(settings["LOG_FILE"]).resolve().parent)
    for folder in pruned:
        if out.resolve().is_relative_to(folder):
            raise ArgumentError("out", str(out), f"a directory that is not in {folder}, where scrapyd deletes files")


def _mask_settings(record: logging.LogRecord, crawler: Crawler) -> bool:
    """Scrapy shows at the start what was set, passwords too, before there is a run whose log is masked."""
    if str(record.msg).startswith("Overridden settings"):
        from pprint import pformat  # noqa: PLC0415  # see above

        from crawler.secrets import STARS, Masker, is_key_name  # noqa: PLC0415

        held = overridden_settings(crawler.settings)
        shown = {name: STARS if is_key_name(name) else value for name, value in held}
        record.args = {"settings": Masker().mask(pformat(shown))}
    return True


class _Help(argparse.RawDescriptionHelpFormatter, ScrapyHelpFormatter):
    """Scrapy's, which leaves the lines of an epilog as they are."""


def _arguments_help() -> str:
    """The arguments of apifetch, a line each or more."""
    from crawler.arguments import ARGUMENTS  # noqa: PLC0415  # every `scrapy` call loads this module

    lines = ["arguments of apifetch, each with -a NAME=VALUE (docs/arguments.md):"]
    for row in ARGUMENTS:
        text = f"{row.help} (default: {row.default_text})".replace("`", "")
        lines += textwrap.wrap(text, 100, initial_indent=f"  {row.name:<11} ", subsequent_indent=" " * 14)
    return "\n".join(lines)


def _check_handler(path: str | None) -> None:
    """Raises ArgumentError. Scrapy logs a handler that it cannot load, and goes on without one."""
    from scrapy.utils.misc import load_object  # noqa: PLC0415  # see above

    from crawler.exceptions import ArgumentError  # noqa: PLC0415

    if path is not None:
        try:
            load_object(path)
        except (ImportError, NameError, ValueError) as exc:
            raise ArgumentError("APIFETCH_HTTP_HANDLER", path, f"the path of a download handler ({exc})") from exc


def _hosts_hint(arguments: dict[str, str]) -> str:
    """The flag that would do, from the first URL of the list."""
    from crawler.exceptions import ApiFetchError  # noqa: PLC0415  # see above
    from crawler.items import Entry  # noqa: PLC0415
    from crawler.sources import STDIN, Shape, check_url, is_url, members, open_list  # noqa: PLC0415

    urls = arguments.get("urls", STDIN)
    if urls == STDIN or is_url(urls):
        return ""
    try:
        shape = Shape(
            format=arguments.get("format"), column=arguments.get("column", "url"), template=arguments.get("template")
        )
        source = open_list(urls, members(urls), shape)
        lines = source.next_batch(100)
        source.close()
        target = check_url(next(line for line in lines if isinstance(line, Entry)).target)
    except (ApiFetchError, StopIteration):
        return ""
    port = f":{target.port}" if target.port is not None else ""
    return f". The first line's would be: -a hosts={target.host}{port}"
