"""The project as a library: a crawl from Python, and its results as objects. The crawl itself is another process."""

from crawler.library.fetching import Fetched, fetch
from crawler.library.results import Result, Results, results

__all__ = ["Fetched", "Result", "Results", "fetch", "results"]
