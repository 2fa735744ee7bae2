"""Checking: whether every file is what the ledger says, and the way back where it is not.

Reads files and ledger; asks no API: what is to be fetched again is written down as a list for a crawl.
"""

from crawler.checking.directory import FOUND, Check, Progress
from crawler.checking.findings import Finding, Kind
from crawler.checking.repair import REPAIR, Repair, repair

__all__ = ["FOUND", "REPAIR", "Check", "Finding", "Kind", "Progress", "Repair", "repair"]
