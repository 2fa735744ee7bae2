"""Fetch a list of API calls, one file and one ledger row per line, on Scrapy."""

__version__ = "0.1.0"
