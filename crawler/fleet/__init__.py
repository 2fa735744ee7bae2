"""A list taken in parts by several processes: what each is told, how they are watched, what comes of them all.

Knows no Scrapy: a part is a command, an exit code and a directory (docs/scaling.md). Who runs it is an Engine.
"""

from crawler.fleet.engine import Engine, Job, Look, Part
from crawler.fleet.fleet import Fleet
from crawler.fleet.parts import gathering, parts_of

__all__ = ["Engine", "Fleet", "Job", "Look", "Part", "gathering", "parts_of"]
