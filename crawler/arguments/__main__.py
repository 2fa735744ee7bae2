"""Writes the page of the arguments: `python -m crawler.arguments > docs/arguments.md`."""

import sys

from crawler.arguments.page import arguments_page

sys.stdout.write(arguments_page())
