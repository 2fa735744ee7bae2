"""Whether anybody receives a signal: asking costs a tenth of sending it to nobody.

Knows pydispatch, which carries Scrapy's signals, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydispatch.dispatcher import Anonymous, Any, connections

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_ANY = (id(Any), id(Anonymous))


def receivers(crawler: Crawler, signal: object) -> int:
    """How many receivers a signal of this crawler has."""
    count = 0
    for sender in (id(crawler), *_ANY):
        of_sender = connections.get(sender)
        if of_sender:
            count += len(of_sender.get(signal, ())) + len(of_sender.get(Any, ()))
    return count


def is_heard(crawler: Crawler, signal: object) -> bool:
    """Whether a receiver is connected to *signal* of this crawler, or to all signals, or of all senders."""
    for sender in (id(crawler), *_ANY):
        of_sender = connections.get(sender)
        if of_sender and (of_sender.get(signal) or of_sender.get(Any)):
            return True
    return False
