"""Fetch a list of API calls, one file and one ledger row per line, on Scrapy."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crawler.library.fetching import fetch
    from crawler.library.results import results

__all__ = ["fetch", "results"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The library's functions, loaded when they are asked for: every `scrapy` call imports this package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from crawler import library  # noqa: PLC0415

    return getattr(library, name)
