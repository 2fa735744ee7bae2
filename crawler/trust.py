"""Which certificate authorities are trusted, by calls, downloads of lists and Redis alike: a PEM file.

Owns where it is looked for. Reads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import certifi

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_VARIABLES: Final = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def ca_file(said: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Give the file, and who named it. said: by APIFETCH_CA_FILE, None for nobody."""
    if said:
        return said, "APIFETCH_CA_FILE"
    for name in CA_VARIABLES:
        if path := environ.get(name):
            return path, name
    return certifi.where(), "certifi"
