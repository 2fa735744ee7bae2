"""Lists in: a file or pipe becomes calls to make, lazily, one Entry or BadLine per line that counts.

Imports no Scrapy. Never raises for a line: what cannot be read as a call comes out as a BadLine.
"""

from crawler.sources.files import Fingerprint, fingerprint, list_name
from crawler.sources.source import FileSource, Source, open_source
from crawler.sources.urls import Target, check_url

__all__ = [
    "FileSource",
    "Fingerprint",
    "Source",
    "Target",
    "check_url",
    "fingerprint",
    "list_name",
    "open_source",
]
