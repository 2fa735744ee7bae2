"""`python -m tests.hostile > docs/hostile.md`."""

import sys

from tests.hostile.page import hostile_page

sys.stdout.write(hostile_page())
