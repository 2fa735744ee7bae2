"""How many receive a signal: asking costs a tenth of sending it to nobody.

Knows pydispatch, which carries Scrapy's signals, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydispatch.dispatcher import Anonymous, Any, connections

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_ANY_SENDER = (id(Any), id(Anonymous))


def receivers(crawler: Crawler, signal: object) -> int:
    """How many receivers are connected to *signal* of this crawler, or to all signals, or of all senders."""
    count = 0
    for sender in (id(crawler), *_ANY_SENDER):
        of_sender = connections.get(sender)
        if of_sender is not None:
            if signal in of_sender:
                count += len(of_sender[signal])
            if Any in of_sender:
                count += len(of_sender[Any])
    return count
