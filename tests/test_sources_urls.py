"""check_url: what goes out on the wire for a text of the list, and what is refused with which words."""

from __future__ import annotations

import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.exceptions import BadURLError
from crawler.sources import Target, check_url
from crawler.sources.lines import bad_line, mask_userinfo

PIECES = [
    *("http", "https", "ftp", "://", ":", "/", "//", "?", "#", "@", "[", "]", "::1", "%", "%4", "%zz", "%7E"),
    *("example.com", "EXAMPLE", "bücher.de", "xn--", "127.0.0.1", "80", "99999", "..", "${A}", "${", "}", "$"),
    *("\\", " ", "\t", "\n", "\x00", "é", "|", '"', "℀"),
]  # fmt: skip
url_like = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/items?b=2&a=1",
        "http://x/%7Euser/../a//b/./c",
        "http://x/a%2fb%2Fc",
        "HTTP://Example.COM/Path",
        "http://x",
        "http://x?q=1",
        "http://x/?a[]=1&b=;,'()*!",
        "http://x:8080/",
        "http://x:080/",
        "http://x:/empty-port",
        "http://[2001:DB8::1]:8080/v6",
        "http://under_score.example.com./final-dot",
        "http://x/a@b:c",
        "https://x/?key=${API_KEY}&v=$1$",
        "http://x/?next=https://y/?z",
        "http://xn--bcher-kva.de/",
        "http://x/" + "a" * 60_000,
    ],
)
def test_what_is_legal_goes_out_as_written(url: str) -> None:
    assert check_url(url).target == url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://x/a b", "http://x/a%20b"),
        ('http://x/"<>\\^`{|}', "http://x/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("http://x/é?q=日", "http://x/%C3%A9?q=%E6%97%A5"),
        ("http://x/100%", "http://x/100%25"),
        ("http://x/%4", "http://x/%254"),
        ("http://x/%zz%7E", "http://x/%25zz%7E"),
        ("http://x/?k=${KEY}&n=é", "http://x/?k=${KEY}&n=%C3%A9"),
        ("http://x/${}/${1A}/${A", "http://x/$%7B%7D/$%7B1A%7D/$%7BA"),
        ("http://x/%${A}", "http://x/%25${A}"),
        ("http://x/a#frag", "http://x/a"),
        ("http://x#a b é", "http://x"),
        ("http://x/?q=1#a?b#c", "http://x/?q=1"),
        ("http://bücher.de/ü", "http://xn--bcher-kva.de/%C3%BC"),
        ("http://BÜCHER.example:81/", "http://xn--bcher-kva.example:81/"),
        ("http://straße.de/", "http://xn--strae-oqa.de/"),
        ("http://１２７.0.0.1/", "http://127.0.0.1/"),  # noqa: RUF001  # full-width digits are the point
        ("http://bücher。de/", "http://xn--bcher-kva.de/"),
    ],
)
def test_what_is_illegal_in_a_request_is_encoded_and_nothing_else(url: str, target: str) -> None:
    assert check_url(url).target == target


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://API.Example.com/", "api.example.com", None),
        ("http://x:65535/", "x", 65535),
        ("http://x:/", "x", None),
        ("http://x:00443/", "x", 443),
        ("http://[2001:DB8::A]:80/", "2001:db8::a", 80),
        ("http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", None),
        ("http://BÜCHER.de/", "xn--bcher-kva.de", None),
        ("http://u:p@Host:81/", "host", 81),
        ("http://good.example#@evil.example/", "good.example", None),
        ("http://good.example?@evil.example/", "good.example", None),
        ("http://good.example/@evil.example/", "good.example", None),
    ],
)
def test_host_and_port_are_what_will_be_connected_to(url: str, host: str, port: int | None) -> None:
    target = check_url(url)
    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("user:pass", "user:pass"),
        ("user", "user:"),
        ("user:", "user:"),
        (":pass", ":pass"),
        ("us%65r:p%40ss%3A", "user:p@ss:"),
        ("user:p:a:ss", "user:p:a:ss"),
        ("user:p@ss", "user:p@ss"),
        ("åsa:%C3%A9", "åsa:é"),
        ("user:%FF", b"user:\xff"),
    ],
)
def test_credentials_become_basic_authorization(userinfo: str, credentials: str | bytes) -> None:
    expected = credentials.encode() if isinstance(credentials, str) else credentials
    assert check_url(f"https://{userinfo}@x:81/a") == Target(
        "https://x:81/a", f"Basic {b64encode(expected).decode()}", "x", 81
    )


def test_an_at_sign_without_credentials_authorizes_nobody() -> None:
    assert check_url("http://@x/") == Target("http://x/", None, "x", None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "empty"),
        ("example.com/x?key=secret", r"did you mean https://example\.com/\.\.\. "),
        ("localhost:8000/x", r"did you mean https://localhost:8000/"),
        ("//example.com/x", r"did you mean https://example\.com/"),
        ("/just/a/path", "begins with http"),
        ("hello", "begins with http"),
        (" http://x/", "begins with http"),
        ("http:/x/", "two slashes"),
        ("https:x", "two slashes"),
        ("http:", "two slashes"),
        ("mailto:a@b.example", "begins with http"),
        ("ftp://x/", "'ftp' is not supported"),
        ("file:///etc/passwd", "'file' is not supported"),
        ("http://", "host is empty"),
        ("http:///path", "host is empty"),
        ("http://:80/", "host is empty"),
        ("http://user:pw@/", "host is empty"),
        ("http://x:0/", "1 to 65535"),
        ("http://x:65536/", "1 to 65535"),
        ("http://x:99999/", "1 to 65535"),
        ("http://x:8a/", "1 to 65535"),
        ("http://x:-1/", "1 to 65535"),
        ("http://x:٣/", "1 to 65535"),
        ("http://x:" + "9" * 5000, "1 to 65535"),
        ("http://[::1", "brackets"),
        ("http://::1/", "brackets"),
        ("http://[::1]x/", "brackets"),
        ("http://[:::]/", "IPv6 address cannot be read"),
        ("http://[v1.a]/", "IPv6 address cannot be read"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://a..b/", "no name"),
        ("http://.a/", "no name"),
        ("http://a b/", "no name"),
        ("http://a%41/", "no name"),
        ("http://${HOST}/", "no name"),
        ("http://a\\b/", "no name"),
        ("http://" + "a" * 64 + "/", "no name"),
        ("http://" + "a." * 127 + "/", None),
        ("http://" + "a." * 127 + "a/", "no name"),
        ("http://-ü-/", "IDNA"),
        ("http://℀.de/", "IDNA|no name"),
        ("http://💩.la/", "IDNA"),
        ("http://" + "ü" * 254 + "/", "too long"),
        ("http://x/a\tb", "control character 0x09"),
        ("http://x/\r\nX-Injected: 1", "control character 0x0d"),
        ("http://x/\x00", "control character 0x00"),
        ("http://x/#\x7f", "control character 0x7f"),
        ("http://x/\ud800", "surrogate"),
        ("http://x/" + "a" * 65_536, "64 KiB"),
        ("http://x/" + "é" * 33_000, "64 KiB"),
        ("http://user:${PASS}@x/", "Authorization header"),
        ("http://good.example\\@evil.example/", "percent-encoded"),
        ("http://go to@x/", "percent-encoded"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_the_reason(url: str, words: str | None) -> None:
    if words is None:
        check_url(url)
        return
    with pytest.raises(BadURLError, match=words):
        check_url(url)


SECRET = "hunter2"  # what none of the texts below may show

LEAKS = [
    f"http://user:{SECRET}@x:99999/",
    f"http://{SECRET}@x:99999/",
    f"ftp://user:{SECRET}@x/",
    f"user:{SECRET}@example.com/",
    f"http:/user:{SECRET}@x/",
    f"https:user:{SECRET}@x/",
    f"http://user:a/{SECRET}@x/",
    f"http://user:{SECRET}/b@x/",
    f"http://user:{SECRET}#b@x/",
    f"http://user:{SECRET}?b@x/",
    f"http://user:{SECRET} b@x/",
    f"http://user:a {SECRET}@x/",
    f"http://user:a@{SECRET}@x:y/",
    f"http://user:{SECRET}\\@x/",
    f"http://user:{SECRET}@[::1/",
    f"http://user:{SECRET}@/",
    f"http://user:{SECRET}@x/\x00",
    f"http://user:{SECRET}@ü{'ü' * 254}/",
]


@pytest.mark.parametrize("url", LEAKS)
def test_no_reason_tells_a_password(url: str) -> None:
    with pytest.raises(BadURLError) as caught:
        check_url(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", LEAKS)
@pytest.mark.parametrize("line", ["{}", "7,{},SE", '{{"url": "{}", "n": 0}}', '{{"n":0,"url":"{}"}}', "http://ok/ {}"])
def test_no_masked_line_tells_a_password(url: str, line: str) -> None:
    assert SECRET not in mask_userinfo(line.format(url))


@pytest.mark.parametrize(("char", "escaped"), [("@", r"\u0040"), ("/", r"\/"), ("/", r"\u002f"), (":", r"\u003A")])
@pytest.mark.parametrize("url", [f"http://user:{SECRET}@x:y", f"http://{SECRET}@x:y"])
def test_json_escapes_hide_no_password_from_the_mask(url: str, char: str, escaped: str) -> None:
    assert SECRET not in mask_userinfo(f'{{"url":"{url.replace(char, escaped)}"}}')


@pytest.mark.parametrize(
    "text",
    [
        "http://x:8080/a?email=a@b.example",
        "http://x:99999/~a@b",
        "1,http://x/,a@b.example",
        '{"url": "http://x:80/", "id": "a@b.example", "n": 0}',
        "me@example.com",
    ],
)
def test_an_address_that_is_no_password_stays_readable(text: str) -> None:
    assert mask_userinfo(text) == text


@given(url_like)
def test_any_text_is_a_target_or_a_reason(text: str) -> None:
    try:
        target = check_url(text)
    except BadURLError:
        return
    assert re.fullmatch(r"[\x21-\x7e]+", target.target)
    assert "@" not in target.target.split("/")[2].split("?")[0]
    assert target.host == target.host.lower()


@given(url_like)
def test_a_target_is_its_own_target(text: str) -> None:
    """Checked again, as redirects and followed requests are, it goes out unchanged."""
    try:
        target = check_url(f"http://x/{text}")
    except BadURLError:
        return
    assert check_url(target.target) == target


@given(st.text(st.sampled_from(':/@ #?"x0'), max_size=40))
def test_masking_hides_what_check_url_would_send_as_credentials(text: str) -> None:
    secret = "S3"
    url = f"http://u:{secret}{text}"
    try:
        sends_it = check_url(url).authorization is not None
    except BadURLError:
        sends_it = False
    if sends_it:
        assert secret not in mask_userinfo(url)


@pytest.mark.parametrize(
    "line",
    [
        '{"url": "http://a.test/?token=KEY", "headers": {"X-Api-Key": "KEY", "Cookie": ["a", "KEY"]}, "no": 1}',
        "http://me:KEY/KEY@a.test/?access_token=KEY",
        "ftp://a.test/?apikey=KEY",
    ],
)
def test_of_a_line_that_cannot_be_read_no_key_is_kept(line: str) -> None:
    bad = bad_line(7, f"\x1b[2J\u009b\u202e{line}".encode(), "why")
    assert "KEY" not in bad.text
    assert bad.text.startswith("\\x1b[2J\\x9b\\x202e")
