"""`apifetch`: the project's commands from any folder, without a scrapy.cfg.

`apifetch FILE ...` is `scrapy crawl apifetch -a urls=FILE ...`, where FILE has a dot or a slash; anything else is
`scrapy ...` with this project's settings: `apifetch verify out/items`.
"""

from __future__ import annotations

import os
import sys

from crawler.interrupting import say_nothing_of_ctrl_c


def main() -> None:
    """The entry point of the console script."""
    say_nothing_of_ctrl_c()  # before Scrapy is imported, which takes a third of a second
    os.environ.setdefault("SCRAPY_SETTINGS_MODULE", "crawler.settings")
    from scrapy import cmdline  # noqa: PLC0415  # which reads that variable

    words = sys.argv[1:]
    if words and is_list(words[0]):
        words = ["crawl", "apifetch", "-a", f"urls={words[0]}", *words[1:]]
    cmdline.execute(["scrapy", *words])


def is_list(word: str) -> bool:
    """Whether a word is the path of a list rather than a command: no command has a dot or a slash in its name."""
    return word == "-" or "." in word or "/" in word
