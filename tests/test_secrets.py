"""Where `${NAME}` stands, how it is filled in, and that nothing that people read shows what it was."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode
from string import ascii_letters, digits
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.secrets import (
    Masker,
    MaskFilter,
    bare_names_in,
    fill,
    has_stray_opening,
    is_key_name,
    mask_damaged,
    mask_url,
    names_in,
    printable,
)

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
secrets = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=8, max_size=30)

# ${NAME}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer ${API_KEY}", ["API_KEY"]),
        ("${b}${a}${b}", ["b", "a"]),
        ("${_1}", ["_1"]),
        ("${1A} ${} ${A-B} $A {A} ${A ${ A}", []),
        ("$${A}", ["A"]),
    ],
)
def test_a_name_is_letters_digits_and_underscores(text: str, expected: list[str]) -> None:
    assert names_in(text) == expected


@pytest.mark.parametrize(
    ("text", "stray"), [("${A}", False), ("$A", False), ("${A-B}", True), ("${A}${", True), ("${${A}}", True)]
)
def test_an_opening_without_a_name_is_seen(text: str, stray: bool) -> None:
    assert has_stray_opening(text) is stray


def test_a_variable_as_a_shell_would_have_it_is_seen() -> None:
    pairs = [("a", "Bearer $TOKEN"), ("b", "${TOKEN} $5 $PRICE $$"), ("c", "$KEY$TOKEN")]
    assert bare_names_in(pairs, {"TOKEN": "", "KEY": ""}) == ["TOKEN", "KEY"]


def test_what_is_not_known_stays_as_it_is() -> None:
    assert fill("${A}-${B}-${A}", {"A": "1"}) == "1-${B}-1"


@given(names, st.text(), st.text(st.characters(exclude_characters="$")))
def test_filling_in_is_done_once(name: str, value: str, around: str) -> None:
    """A value that looks like a placeholder, its own even, is a plain text."""
    values = {name: f"{value}${{{name}}}"}
    assert fill(f"{around}${{{name}}}{around}", values) == around + values[name] + around


@given(st.dictionaries(names, st.text(min_size=1)))
def test_filling_in_leaves_no_name_that_is_known(values: dict[str, str]) -> None:
    text = "&".join(f"${{{name}}}" for name in values)
    assert names_in(text) == list(values)
    assert fill(text, values) == "&".join(values.values())


# URLs

KEYS = re.findall(
    r"\S+",
    """
    key apikey api_key api-key apiKey APIKey API_KEY X-API-Key api%5Fkey app_key hapikey key1 filter[api_key]
    subscription_key subscription-key Ocp-Apim-Subscription-Key secretkey
    token access_token accessToken authtoken page_access_token auth authorization bearer jwt
    secret client_secret clientSecret password passwd pwd pass passphrase
    sig signature X-Amz-Signature X-Amz-Credential X-Amz-Security-Token hmac
    session sid session_id sessionid jsessionid PHPSESSID
""",
)
PLAIN = re.findall(
    r"\S+",
    """
    keyword keywords monkey turkey keys key_id key_type token_type tokens_left signature_version author
    authors design assign passenger compass code country_code id sort_key page_token nextPageToken side
    resident q limit page sessions_per_day
""",
)


@pytest.mark.parametrize("name", KEYS)
def test_the_value_of_a_parameter_that_looks_like_a_key_is_masked(name: str) -> None:
    assert is_key_name(name)
    url = f"https://h/p?a=1&{name}=s3cr%65t=/:@x;y&b=2#top"
    assert mask_url(url) == f"https://h/p?a=1&{name}=***&b=2#top"


@pytest.mark.parametrize("name", PLAIN)
def test_a_parameter_that_only_resembles_a_key_is_kept(name: str) -> None:
    url = f"https://h/p?{name}=x&{name}=y"
    assert mask_url(url) == url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://h/p", "https://h/p"),
        ("https://u:p@h/", "https://u:***@h/"),
        ("https://u:p@ss:w@h:8/", "https://u:***@h:8/"),
        ("https://sk_live_1@h/", "https://***@h/"),
        ("https://sk_live_1:@h/", "https://***@h/"),
        ("https://h/users/me@example.com", "https://h/users/me@example.com"),
        ("https://h/?mail=me@example.com", "https://h/?mail=me@example.com"),
        ("/p?key=1", "/p?key=***"),
        ("https://h/?key=", "https://h/?key=***"),
        ("https://h/?key", "https://h/?key"),
        ("https://h/?key=1&key=2", "https://h/?key=***&key=***"),
        ("https://h/?key=a b\"c'd", "https://h/?key=***"),
        ("https://h/?key=a?token=b;sig=c", "https://h/?key=***"),
        ("https://h/a;jsessionid=1", "https://h/a;jsessionid=***"),
        ("https://h/cb#access_token=1&state=2", "https://h/cb#access_token=***&state=2"),
        ("https://h/?to=https://u:p@k/?token=1&x=2", "https://h/?to=https://u:***@k/?token=***&x=2"),
        ("https://h/?key=${API_KEY}", "https://h/?key=***"),
    ],
)
def test_masking_leaves_the_rest_of_a_url_alone(url: str, masked: str) -> None:
    assert mask_url(url) == masked
    assert mask_url(masked) == masked


@given(st.text(st.characters(exclude_characters="&#", exclude_categories=["Cs"]), min_size=4))
def test_no_value_of_a_key_is_left_in_a_url(value: str) -> None:
    assert mask_url(f"https://h/?a=1&api_key={value}&b=2") == "https://h/?a=1&api_key=***&b=2"


@given(st.text(st.sampled_from("?&;#=@:/key a"), max_size=200))
def test_masking_a_url_twice_changes_nothing(text: str) -> None:
    once = mask_url(text)
    assert mask_url(once) == once


# Texts


def writings(secret: str) -> dict[str, str]:
    """The forms in which a secret turns up in messages."""
    octets = secret.encode()
    return {
        "plain": secret,
        "percent": quote(secret, safe=""),
        "percent, reserved kept": quote(secret, safe="!$&'()*+,;=:@/?"),
        "percent, lower case": "".join(
            char if char.isascii() and char.isalnum() else "".join(f"%{octet:02x}" for octet in char.encode())
            for char in secret
        ),
        "form": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "json, utf-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "bytes literal": repr(octets)[2:-1],
        "base64": b64encode(octets).decode(),
        "base64, URL-safe": urlsafe_b64encode(octets).decode(),
    }


@given(secrets, st.text(st.sampled_from(ascii_letters + digits + " /?&='\"<>%\\"), max_size=20))
@example('p"w\\d/1+2 3', "")
@example("\\\\\\\\\\\\\\\\", "\\")
@example("ключ-к-апи", "")
@example("😀😀😀😀😀😀😀😀", "")
@example("a&b#c?d=e", "https://h/?key=")
def test_a_masked_text_never_contains_the_value(secret: str, around: str) -> None:
    masker = Masker([secret])
    for form, written in writings(secret).items():
        # the marks keep the surroundings from being part of the value
        assert written not in masker.mask(f"{around}|{written}|{around}"), form


@given(secrets, st.text(max_size=12))
def test_the_value_is_found_inside_basic_credentials(secret: str, user: str) -> None:
    """Base64 of `user:secret`: whatever stands before it, no more than a few bits are left."""
    written = b64encode(f"{user}:{secret}".encode(errors="replace")).decode()
    masked = Masker([secret]).mask(f"Authorization: Basic {written}")
    kept = len(f"{user}:".encode(errors="replace")) * 8 // 6 + 1
    assert masked.startswith("Authorization: Basic ")
    assert masked.endswith("***")
    assert len(masked) <= len("Authorization: Basic ") + kept + len("***")


def test_of_two_secrets_that_begin_alike_the_longer_one_goes_whole() -> None:
    masker = Masker(["12345678", "12345678-abc"])
    assert masker.mask("12345678-abc 12345678") == "*** ***"


def test_a_short_value_is_not_looked_for() -> None:
    assert Masker(["2", "secret7", ""]).mask("2 secret7") == "2 secret7"


def test_a_secret_with_an_ampersand_is_masked_whole_in_a_query() -> None:
    assert Masker(["ab&cd#efgh"]).mask("<GET https://h/?key=ab&cd#efgh>") == "<GET https://h/?key=***>"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("<GET https://u:p@h/?key=1> (referer: None)", "<GET https://u:***@h/?key=***> (referer: None)"),
        ('{"url": "https://h/?key=1", "n": 2}', '{"url": "https://h/?key=***", "n": 2}'),
        ("GET /p?token=1 HTTP/1.1", "GET /p?token=*** HTTP/1.1"),
        ("key=1 is kept: no query", "key=1 is kept: no query"),
    ],
)
def test_urls_in_a_text_are_masked_up_to_their_end(text: str, masked: str) -> None:
    assert Masker().mask(text) == masked


# Logs

SECRET = "sk_live_0123456789"


class Printed(logging.Handler):
    """Keeps what a handler would print."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.records: list[logging.LogRecord] = []
        self.addFilter(MaskFilter(Masker([SECRET])))
        self.logger = logging.Logger("test")  # noqa: LOG001  # not one that the next test finds again
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts.append(self.format(record))


@pytest.fixture
def printed() -> Printed:
    return Printed()


@pytest.fixture
def log(printed: Printed) -> logging.Logger:
    return printed.logger


class Loud:
    def __str__(self) -> str:
        return f"<Loud {SECRET}>"

    __repr__ = __str__


class Broken:
    def __str__(self) -> str:
        raise OSError(SECRET)


@pytest.mark.parametrize(
    ("message", "args", "expected"),
    [
        (f"100% {SECRET}", (), "100% ***"),
        ("%s %d%%", (SECRET, 5), "*** 5%"),
        ("%(a)s", ({"a": SECRET},), "***"),
        ("%s and %r", (Loud(), [Loud()]), "<Loud ***> and [<Loud ***>]"),
        ("sk_live_%s", ("0123456789",), "***"),
        ("%s", ("https://u:p@h/?key=1",), "https://u:***@h/?key=***"),
        (Loud(), (), "<Loud ***>"),
    ],
)
def test_a_secret_is_masked_wherever_the_message_got_it_from(
    log: logging.Logger, printed: Printed, message: object, args: tuple[object, ...], expected: str
) -> None:
    log.info(message, *args)
    assert printed.texts == [expected]
    assert SECRET not in str(vars(printed.records[0]))


def test_a_record_without_secrets_stays_as_it_is(log: logging.Logger, printed: Printed) -> None:
    """Structured handlers still see the arguments and the live exception."""
    error = ValueError("nothing to hide")
    log.error("%s of %d", "one", 2, exc_info=error)
    [record] = printed.records
    assert (record.msg, record.args) == ("%s of %d", ("one", 2))
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_traceback_is_masked_for_every_later_handler(log: logging.Logger, printed: Printed) -> None:
    log.error("failed", exc_info=RuntimeError(f"refused: {SECRET}"))
    [record] = printed.records
    assert "RuntimeError: refused: ***" in printed.texts[0]
    assert SECRET not in printed.texts[0]
    assert record.exc_info is None


def test_a_stack_and_a_text_that_is_already_formatted_are_masked(printed: Printed) -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "m", None, None, sinfo=f"Stack {SECRET}")
    record.exc_text = f"Error {SECRET}"
    printed.handle(record)
    assert printed.texts == ["m\nError ***\nStack ***"]


@pytest.mark.parametrize(
    ("message", "args", "expected"),
    [
        (f"%d {SECRET}", (SECRET,), "%d *** (its arguments cannot be formatted: TypeError)"),
        ("%s", (Broken(),), "%s (its arguments cannot be formatted: OSError)"),
        (Broken(), (), "Broken (its arguments cannot be formatted: OSError)"),
    ],
)
def test_a_message_that_cannot_be_formatted_neither_breaks_the_caller_nor_prints_its_arguments(
    log: logging.Logger,
    printed: Printed,
    capsys: pytest.CaptureFixture[str],
    message: object,
    args: tuple[object, ...],
    expected: str,
) -> None:
    log.info(message, *args)
    assert printed.texts == [expected]
    assert capsys.readouterr().err == ""


# Lines that cannot be read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"headers": {"X-Api-Key" : "a\\"b", "Accept": "*/*"}', '{"headers": {"X-Api-Key": "***", "Accept": "*/*"}'),
        ('{"authorization": ["a", "b"], "x": 1}', '{"authorization": "***", "x": 1}'),
        ('{"Cookie": "cut in the mid', '{"Cookie": "***"'),
        ("https://a.test/?page=1&access_token=x", "https://a.test/?page=1&access_token=***"),
        ("a line of words, me@a.test", "a line of words, me@a.test"),
    ],
)
def test_of_a_line_that_cannot_be_read_what_may_be_a_key_is_masked(text: str, expected: str) -> None:
    assert mask_damaged(text) == expected


def test_what_a_terminal_would_obey_is_spelt_out() -> None:
    said = "a\x1b[2Jb\rc\x07d\x9be\u202ef\tg\nh\u00fci"
    assert printable(said) == "a\\x1b[2Jb\\x0dc\\x07d\\x9be\\x202ef\tg\nh\u00fci"
    record = logging.LogRecord("x", logging.ERROR, "", 0, "of a server: %s", ("\x1b]0;title\x07",), None)
    MaskFilter(Masker()).filter(record)
    assert record.getMessage() == "of a server: \\x1b]0;title\\x07"
