"""Lists in: a file or pipe becomes calls to make, lazily, one Entry or BadLine per line that counts.

Imports no Scrapy. Never raises for a line: what cannot be read as a call comes out as a BadLine.
"""

from crawler.sources.files import Fingerprint, fingerprint
from crawler.sources.members import left_out, members
from crawler.sources.names import STDIN, is_remote, is_url, list_name
from crawler.sources.objects import split_address
from crawler.sources.remote import download
from crawler.sources.several import check_list, open_list
from crawler.sources.shared import Opens, SharedAddress, acknowledge, is_shared
from crawler.sources.source import SHAPING, FileSource, Shape, Source, open_source
from crawler.sources.templates import body_template, url_template
from crawler.sources.urls import Target, check_url

__all__ = [
    "SHAPING",
    "STDIN",
    "FileSource",
    "Fingerprint",
    "Opens",
    "Shape",
    "SharedAddress",
    "Source",
    "Target",
    "acknowledge",
    "body_template",
    "check_list",
    "check_url",
    "download",
    "fingerprint",
    "is_remote",
    "is_shared",
    "is_url",
    "left_out",
    "list_name",
    "members",
    "open_list",
    "open_source",
    "split_address",
    "url_template",
]
