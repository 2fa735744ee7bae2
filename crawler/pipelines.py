"""The last pipeline: a record that every pipeline before it accepted goes to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from scrapy.exceptions import DropItem, NotConfigured

from crawler.exceptions import StoreError
from crawler.items import Outcome, Record
from crawler.store.mending import mend

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from crawler.run import Run


class StorePipeline:
    """Hands records to the run and lets every other item pass.

    It returns when the writer's queue has taken the record, not when it is on disk: waiting for the
    commit would hold Scrapy's 5 MB of responses in progress and cost four fifths of the speed.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.get("APIFETCH_URLS"):
            raise NotConfigured  # no list: this spider is none of ours
        return cls(crawler)

    def take_at_once(self, item: Any) -> bool:
        """Take a record without waiting; False for whatever `process_item` is needed for (crawler.shortway)."""
        if not isinstance(item, Record) or item.ticket is None:
            return False
        run: Run = self._crawler.spider.run  # type: ignore[union-attr]  # set by the RunKeeper
        if not run.recording.has_room:
            return False
        if not item.untouched:
            mend(item)
        try:
            run.recording.put_nowait(item)
        except UnicodeEncodeError:  # half a surrogate pair, which a list's columns may hold
            mend(item)
            run.recording.put_nowait(item)
        return True

    async def process_item(self, item: Any) -> Any:
        if isinstance(item, Record):
            if item.ticket is None and item.outcome is not Outcome.INVALID:
                raise TypeError("a pipeline returned a copy of the record; change the one it was given")
            mend(item)
            run: Run = self._crawler.spider.run  # type: ignore[union-attr]  # set by the RunKeeper
            try:
                await run.recording.put(item)
            except StoreError as exc:  # no feed may hold what is not kept; why the run stops is said elsewhere
                raise DropItem(str(exc)) from exc
        return item
