"""Before a call is spent: what a list asks for, and what it will take. Reads lists and ledgers, calls nothing."""

from crawler.forecast.counting import Counted, count
from crawler.forecast.estimate import Measured, Need, needs, seconds_at

__all__ = ["Counted", "Measured", "Need", "count", "needs", "seconds_at"]
