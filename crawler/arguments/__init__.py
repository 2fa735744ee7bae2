"""The arguments of `scrapy crawl apifetch`: one table, from which they are checked and documented.

Owns: names, settings, defaults, and how what is said by -a, by -s and in settings.py comes together. What
a single value means is the business of crawler.values. Knows nothing of Scrapy: settings and environment
come in as mappings, and what goes out is a mapping of settings.
"""

from crawler.arguments.page import arguments_page
from crawler.arguments.reading import OF_A_LIST, Configured, HostsNeededError, environment_names, read_arguments
from crawler.arguments.rows import Argument
from crawler.arguments.settings import SETTINGS
from crawler.arguments.table import ARGUMENTS, USAGE

__all__ = [
    "ARGUMENTS",
    "OF_A_LIST",
    "SETTINGS",
    "USAGE",
    "Argument",
    "Configured",
    "HostsNeededError",
    "arguments_page",
    "environment_names",
    "read_arguments",
]
