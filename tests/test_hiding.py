"""What is taken out of a record before it is written, and what stays."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from crawler.credentials import Secrets, hide
from crawler.items import Outcome, Record

VALUE = "p/ss w&rd-of-12"


def hidden(*, secrets: Secrets | None = None, **fields: Any) -> Record:
    record = Record(outcome=Outcome.HTTP_ERROR, **fields)
    hide(record, secrets or Secrets(("TOKEN",), environ={"TOKEN": VALUE}))
    return record


@pytest.mark.parametrize("written", [VALUE, quote(VALUE, safe=""), quote(VALUE), VALUE.replace("/", r"\/")])
def test_a_value_that_a_server_sends_back_is_masked_wherever_it_stands(written: str) -> None:
    headers = {"Set-Cookie": ["a=1", f"t={written}; Path=/"], "Etag": written, "Server": "x"}
    record = hidden(
        url=f"https://a.test/{written}", final_url=f"https://b.test/?q={written}", error=f"bad {written}",
        headers=headers, etag=written, content_type="text/plain",
    )  # fmt: skip
    assert record.headers == {"Set-Cookie": ["a=1", "t=***; Path=/"], "Etag": "***", "Server": "x"}
    assert (record.etag, record.error, record.content_type) == ("***", "bad ***", "text/plain")
    assert (record.url, record.final_url) == ("https://a.test/***", "https://b.test/?q=***")
    assert headers["Etag"] == written  # what the spider's response holds is its own


def test_keys_in_urls_are_masked_with_no_secret_given() -> None:
    headers = {
        "Location": "/next?api_key=1234&page=2",
        "Link": ['<https://a.test/?token=1>; rel="next"'],
        "X": "?key=1",
    }
    record = hidden(secrets=Secrets((), environ={}), error="see https://me:word@a.test/", headers=headers)
    assert record.headers == {
        "Location": "/next?api_key=***&page=2", "Link": ['<https://a.test/?token=***>; rel="next"'], "X": "?key=1",
    }  # fmt: skip
    assert record.error == "see https://me:***@a.test/"


def test_a_record_without_an_answer_has_little_to_hide() -> None:
    record = hidden(error=None, url="https://a.test/")
    assert (record.headers, record.error, record.url) == (None, None, "https://a.test/")
