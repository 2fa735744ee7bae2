"""What nobody may read is taken out of a record before it is written: the values of `${NAME}`, and keys in URLs.

Owns which fields of a record may hold them: what the server sent back, and what went wrong. Bodies are kept as they
came, and so are the list's own columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawler.credentials.values import Secrets
    from crawler.items import Record

_WITH_URLS: Final = ("Location", "Content-Location", "Link", "Refresh")
_REPEATED: Final = ("content_type", "etag", "last_modified")
"""Headers that are fields of their own, too."""


def hide(record: Record, secrets: Secrets) -> None:
    """Put `***` in the place of secrets, in place: in errors and URLs, and in what headers a server sent."""
    masker, headers = secrets.masker, record.headers
    if record.error is not None:
        record.error = masker.mask(record.error)
    if record.final_url is not None:
        record.final_url = masker.mask(record.final_url)
    if secrets.names:
        said = list(map(str, headers.values())) if headers is not None else []
        if masker.finds("\n".join([record.url, *said])):
            _mask_all(record, secrets)
    if headers is not None:
        for name in _WITH_URLS:
            if name in headers:
                record.headers = {**(record.headers or {}), name: _masked(headers[name], secrets)}


def _mask_all(record: Record, secrets: Secrets) -> None:
    """For a secret that came back."""
    mask = secrets.masker.mask
    record.url = mask(record.url)
    if record.headers is not None:
        record.headers = {name: _masked(value, secrets) for name, value in record.headers.items()}
    for field in _REPEATED:
        if (text := getattr(record, field)) is not None:
            setattr(record, field, mask(text))


def _masked(value: Any, secrets: Secrets) -> Any:
    mask = secrets.masker.mask
    return [mask(text) for text in value] if isinstance(value, list) else mask(value)
