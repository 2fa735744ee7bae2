"""What a run measures of itself while it goes: how fast, how long a call takes, what is in the way, how far it is.

Owns: the numbers, their windows and the sentence that says why it is not faster. Knows no Scrapy, no clock and no
screen: moments and times come in, values go out.
"""

from crawler.meter.bottleneck import Limit, Moment, Verdict, limit_of, why_of_all
from crawler.meter.looks import Looks
from crawler.meter.meter import Meter
from crawler.meter.progress import Bar, Progress
from crawler.meter.seconds import BOUNDS_MS, Recent, Second, quantile_ms

__all__ = [
    "BOUNDS_MS",
    "Bar",
    "Limit",
    "Looks",
    "Meter",
    "Moment",
    "Progress",
    "Recent",
    "Second",
    "Verdict",
    "limit_of",
    "quantile_ms",
    "why_of_all",
]
