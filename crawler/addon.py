"""The manners of this project for any other Scrapy project: `ADDONS = {"crawler.addon.Pacing": 500}`.

Owns which components that takes. They work without a list, a ledger and our spider (docs/pacing.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy.downloadermiddlewares import retry

from crawler.paced import PacedScheduler, TurnMiddleware
from crawler.retries import RetryMiddleware

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

RETRIES: Final = 550  # where Scrapy has its own
NEXT_TO_THE_DOWNLOADER: Final = 990  # what passes there goes out; Scrapy's last is 900


class Pacing:
    """Retries that wait, `Retry-After`, `RateLimit`, `APIFETCH_RATE`, and calls at once as hosts bear them.

    What the project says itself, at its own priority, goes before.
    """

    def update_settings(self, settings: BaseSettings) -> None:
        """Scrapy's hook of add-ons."""
        settings.set("SCHEDULER", PacedScheduler, "addon")
        settings.setdefault_in_component_priority_dict("DOWNLOADER_MIDDLEWARES", retry.RetryMiddleware, None)
        settings.setdefault_in_component_priority_dict("DOWNLOADER_MIDDLEWARES", RetryMiddleware, RETRIES)
        settings.setdefault_in_component_priority_dict("DOWNLOADER_MIDDLEWARES", TurnMiddleware, NEXT_TO_THE_DOWNLOADER)
        if most := settings.getint("APIFETCH_WORKERS_MAX"):
            settings.set("CONCURRENT_REQUESTS", most, "addon")
            settings.set("CONCURRENT_REQUESTS_PER_DOMAIN", most, "addon")
