"""Scrapy as it comes: a plain spider and the pipeline that everybody writes first. All settings are Scrapy's own.

Run by `scrapy runspider`; the harness sets the concurrency and LOG_LEVEL=INFO (DEBUG writes two lines a call).
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scrapy.crawler import Crawler
    from scrapy.http import Response


class SavePipeline:
    """Writes a body to a file."""

    def __init__(self, out: str) -> None:
        self._out = Path(out)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> SavePipeline:
        spider = crawler.spider
        assert isinstance(spider, PlainSpider)
        return cls(spider.out)

    def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
        name = uuid.uuid5(uuid.NAMESPACE_URL, item["url"])
        (self._out / f"{name}.json").write_bytes(item["body"])
        return item


class PlainSpider(Spider):
    """-a urls=LIST -a out=FOLDER"""

    name = "plain"
    urls: str
    out: str
    custom_settings = {"ITEM_PIPELINES": {SavePipeline: 300}}  # noqa: RUF012  # as Scrapy's documentation has it

    async def start(self) -> AsyncIterator[Request]:
        for url in Path(self.urls).read_text("utf-8").split():  # noqa: ASYNC240  # as its users write it
            yield Request(url)

    def parse(self, response: Response) -> Iterator[dict[str, Any]]:
        yield {"url": response.url, "body": response.body}
