"""What the text of an argument means: the kinds of the table in arguments.py, and the values they give.

Owns: reading one value, alone. Which argument it belongs to, where it came from and whether it goes with
the others is arguments.py's to know.
"""

from crawler.values.again import REDO, STATUSES, TOLERANCE, Redo, Tolerance
from crawler.values.condition import CONDITION, Condition, is_json
from crawler.values.hosts import HOSTS, Hosts, host_of
from crawler.values.idempotency import IDEMPOTENCY_KEY, KeyHeader
from crawler.values.kinds import COMMAND, METHODS, SWITCH, TEXT, UMASK, VARIABLES, Kind, choice, seconds, size, whole
from crawler.values.pairs import HEADERS, PARAMS, Pairs
from crawler.values.parts import SHARD, find_shard
from crawler.values.places import DATA, FORMAT, METHOD, OUT, TEMPLATE, URLS
from crawler.values.workers import AUTO, WORKERS, AtMost

__all__ = [
    "AUTO",
    "COMMAND",
    "CONDITION",
    "DATA",
    "FORMAT",
    "HEADERS",
    "HOSTS",
    "IDEMPOTENCY_KEY",
    "METHOD",
    "METHODS",
    "OUT",
    "PARAMS",
    "REDO",
    "SHARD",
    "STATUSES",
    "SWITCH",
    "TEMPLATE",
    "TEXT",
    "TOLERANCE",
    "UMASK",
    "URLS",
    "VARIABLES",
    "WORKERS",
    "AtMost",
    "Condition",
    "Hosts",
    "KeyHeader",
    "Kind",
    "Pairs",
    "Redo",
    "Tolerance",
    "choice",
    "find_shard",
    "host_of",
    "is_json",
    "seconds",
    "size",
    "whole",
]
