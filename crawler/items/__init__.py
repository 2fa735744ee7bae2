"""The nouns every room speaks of: an Entry (a line of the list) becomes a Record (what became of it).

Owns: what a call is, its name (uuid), the outcomes, and the keys that adapters share in
``request.meta``. Knows nothing of Scrapy, files, SQL or the network.
"""

from crawler.items.changes import Change, change_of
from crawler.items.entry import BadLine, Entry, uuid5_bytes, uuid_text
from crawler.items.keys import HOST, NOT_BEFORE, PUT_BACK, REACH, REFUSALS, STRANGER, TICKET
from crawler.items.outcomes import IDEMPOTENT, NO_FAILURE, NO_USABLE_ANSWER, NOT_A_CALL, Outcome
from crawler.items.record import Prior, Record, Ticket
from crawler.items.shard import MASK, WHOLE, Shard

__all__ = [
    "HOST",
    "IDEMPOTENT",
    "MASK",
    "NOT_A_CALL",
    "NOT_BEFORE",
    "NO_FAILURE",
    "NO_USABLE_ANSWER",
    "PUT_BACK",
    "REACH",
    "REFUSALS",
    "STRANGER",
    "TICKET",
    "WHOLE",
    "BadLine",
    "Change",
    "Entry",
    "Outcome",
    "Prior",
    "Record",
    "Shard",
    "Ticket",
    "change_of",
    "uuid5_bytes",
    "uuid_text",
]
