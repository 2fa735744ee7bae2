"""Where the download of a list does not go."""

from __future__ import annotations

from email.message import Message
from io import BytesIO
from urllib.request import Request

import pytest

from crawler.exceptions import ListError
from crawler.sources.remote import Redirects


def redirected(here: str, there: str) -> Request | None:
    return Redirects().redirect_request(Request(here), BytesIO(), 302, "Found", Message(), there)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("https://a.test/", "https://b.test/"),
        ("http://a.test/", "http://b.test/"),
        ("http://a.test/", "https://a.test/"),
    ],
)
def test_a_redirect_leads_to_the_list(here: str, there: str) -> None:
    request = redirected(here, there)
    assert request is not None
    assert request.full_url == there


def test_no_redirect_leads_from_https_to_http() -> None:
    with pytest.raises(ListError, match=r"https://a\.test/\?token=\*\*\*: it redirects from https to http"):
        redirected("https://a.test/?token=secret", "HTTP://a.test/")
