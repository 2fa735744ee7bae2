"""What a header of a request may be called and hold, whoever asks for it: an argument, a line of a list, a setting."""

from __future__ import annotations

import re
from typing import Final

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header, or of a method (RFC 9110, section 5.6.2)."""

UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""What a value must not hold (section 5.5): a line break would end the header; a lone surrogate is no text."""

OWN: Final = {
    "host": "it comes from the URL",
    "content-length": "it is counted from the body",
    "transfer-encoding": "how a body is framed is the connection's business",
    "connection": "connections are shared by all lines",
}
"""The client's own to set, and why."""
