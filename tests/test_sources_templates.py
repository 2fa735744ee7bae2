"""Templates, method and data: what the arguments make of a line, whatever the format of the list."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.exceptions import ListError
from crawler.items import BadLine, Entry
from crawler.sources import Shape, body_template, open_source, url_template

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., list[Entry | BadLine]]

TEMPLATE = "https://api.example/items/{id}?c={country}"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Everything that a list gives. name: of the file, which says its format."""

    def read(content: str, name: str = "list", **shape: Any) -> list[Entry | BadLine]:
        path = tmp_path / name
        path.write_text(content)
        with closing(open_source(str(path), Shape(**shape))) as source:
            return [item for batch in iter(lambda: source.next_batch(3), []) for item in batch]

    return read


def entries(found: list[Entry | BadLine]) -> list[Entry]:
    assert not [item for item in found if isinstance(item, BadLine)]
    return [item for item in found if isinstance(item, Entry)]


# URLs


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl", "list"])
def test_columns_make_urls_in_every_format(read: Read, name: str) -> None:
    rows = [{"id": "a/b", "country": "SE"}, {"id": "Å", "country": "D E"}]
    if name.endswith("jsonl"):
        content = "\n".join(map(json.dumps, rows))
    else:
        comma = "\t" if name.endswith("tsv") else ","
        content = "\n".join(comma.join(row) for row in ([*rows[0]], *([*row.values()] for row in rows)))
    found = entries(read(content, name, template=TEMPLATE))
    assert [entry.url for entry in found] == [
        "https://api.example/items/a%2Fb?c=SE",
        "https://api.example/items/%C3%85?c=D%20E",
    ]
    assert [entry.key for entry in found] == ["a/b", "Å"]
    assert [dict(entry.meta) for entry in found] == [{"country": "SE"}, {"country": "D E"}]
    assert {entry.method for entry in found} == {"GET"}


def test_the_line_of_a_plain_list_is_the_place_without_a_name(read: Read) -> None:
    found = entries(read("# ids\n17\n\n a&b \n", "ids.txt", template="https://h/{}?again={}"))
    assert [(entry.url, entry.key, entry.line) for entry in found] == [
        ("https://h/17?again=17", "17", 2),
        ("https://h/a%26b?again=a%26b", "a&b", 4),
    ]


def test_the_format_of_a_list_without_an_ending_follows_the_template(read: Read) -> None:
    assert entries(read("1,2\n", template="https://h/{}"))[0].url == "https://h/1%2C2"
    assert entries(read("id\n7\n", template="https://h/{id}"))[0].url == "https://h/7"
    assert entries(read("a\tid\n1\t7\n", template="https://h/{id}"))[0].url == "https://h/7"


@given(
    value=st.text(min_size=1).filter(lambda text: text.strip() == text), place=st.sampled_from(["p/{}", "p?q={}&r=1"])
)
def test_a_value_is_one_value_wherever_it_stands(value: str, place: str) -> None:
    """Whatever the value: it adds no path segment, no parameter, no fragment."""
    if any(0xD800 <= ord(char) < 0xE000 for char in value):
        return
    filled = url_template(f"https://h/{place}").fill({"": value})
    assert set(filled) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?=&%")
    path, _, query = filled.removeprefix("https://h/").partition("?")
    if query:
        assert parse_qsl(query, keep_blank_values=True) == [("q", value), ("r", "1")]
    else:
        assert path.split("/") == ["p", path.split("/")[1]]
        assert unquote(path.split("/")[1]) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", "7"),
        ("1.0", "1.0"),
        ("true", "true"),
        ('"a b"', "a%20b"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_json_values_are_written_as_they_stand(read: Read, value: str, expected: str) -> None:
    [entry] = entries(read(f'{{"id": {value}}}', "a.jsonl", template="https://h/{id}"))
    assert entry.url == f"https://h/{expected}"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "id,country\n,SE\n", "column 'id' is empty"),
        ("a.csv", "id,country\n  ,SE\n", "column 'id' is empty"),
        ("a.csv", "id,country\n1\n", "has 1 cell where"),
        ("a.jsonl", '{"id": 1}', "has no 'country', which the template needs"),
        ("a.jsonl", '{"id": null, "country": "SE"}', "column 'id' is empty"),
        ("a.jsonl", '{"id": [1], "country": "SE"}', "column 'id': a list or an object cannot stand in a URL"),
        ("a.jsonl", "[1]", "no JSON object"),
        ("a.jsonl", "{", "no JSON object"),
        ("a.jsonl", '{"id": "\\ud800", "country": "SE"}', "no JSON object"),
    ],
)
def test_a_line_without_a_value_is_a_bad_line(read: Read, name: str, content: str, reason: str) -> None:
    [bad] = read(content, name, template=TEMPLATE)
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        (
            "a.csv",
            {"template": "https://h/{Id}"},
            "has no column 'Id', which the template names (did you mean {id}?); it has",
        ),
        (
            "a.csv",
            {"template": "https://h/{}"},
            "{} is the line of a plain list, but this one has columns: 'id', 'country', 'url'",
        ),
        ("a.csv", {"data": '{"a": {x}}'}, "has no column 'x'"),
        ("a.txt", {"template": "https://h/{id}"}, "a plain list has no column 'id': {} stands for its line"),
        ("a.jsonl", {"template": "https://h/{}"}, "name a key, such as {id}"),
    ],
)
def test_a_column_that_is_not_there_is_named_before_the_first_call(
    read: Read, name: str, shape: dict[str, str], words: str
) -> None:
    with pytest.raises(ListError) as caught:
        read("id,country,url\n1,SE,http://x/\n", name, **shape)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("h/{id}", "begins with http"),
        ("https://h/{id", "a { stands alone"),
        ("https://h/id}{a}", "a } stands alone"),
        ("https://h/${1x}/{id}", "a { stands alone"),
        ("https://h/{}/{id}", "which has no columns"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("{", r"\{").replace("}", r"\}")):
        url_template(template)


# Methods and bodies


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"id": {id}, "c": {country}}', '{"id": "7", "c": "S\\"E"}'),
        ('{"id": {id:number}, "x": {}}', '{"id": 7, "x": {}}'),
        ('{"q": "item {id} of {country}", "a": [{id}]}', '{"q": "item 7 of S\\"E", "a": ["7"]}'),
        ('{"{id}": {"a":{"b":{id}}}}', '{"7": {"a":{"b":"7"}}}'),
        ("[{id:number}]", "[7]"),
    ],
)
def test_json_bodies_stay_json_whatever_the_values(read: Read, data: str, expected: str) -> None:
    [entry] = entries(read('id,country,url\n7,"S""E",http://x/\n', "a.csv", data=data))
    assert json.loads(entry.body) == json.loads(expected)
    assert entry.body.decode() == expected
    assert (entry.method, entry.headers) == ("POST", (("Content-Type", "application/json"),))
    [entry] = entries(read('id,country,url\n7,"S""E",http://x/\n', "a.csv", data=data, typed=True, method="PUT"))
    assert (entry.method, entry.headers) == ("PUT", ())


def test_other_bodies_are_forms(read: Read) -> None:
    [entry] = entries(read("a b&c\n", "a.txt", template="https://h/{}", data="name={}&x=1"))
    assert (entry.body, entry.headers) == (
        b"name=a+b%26c&x=1",
        (("Content-Type", "application/x-www-form-urlencoded"),),
    )


@given(value=st.text(min_size=1).filter(lambda text: bool(text.strip(" \t\n\r\f\v"))))
def test_any_text_survives_in_json(value: str) -> None:
    template = body_template('{"a": {x}, "b": "<{x}>"}', columns=True)
    text = value.strip(" \t\n\r\f\v")
    assert json.loads(template.fill({"x": value})) == {"a": text, "b": f"<{text}>"}


def test_json_values_stay_what_they_are_in_json() -> None:
    template = body_template('{"a": {x}}', columns=True)
    for written in ("1.0", "null", '{"b": [1.50]}', '"t"', "12345678901234567890"):
        assert template.fill({"x": msgspec.Raw(written.encode())}) == f'{{"a": {written}}}'


def test_what_begins_like_json_and_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="begins like JSON, but is none"):
        body_template("{'id': {id}}", columns=True)


def test_a_number_that_is_none_is_a_bad_line(read: Read) -> None:
    [bad] = read("id,url\n0x7,http://x/\n", "a.csv", data="[{id:number}]")
    assert isinstance(bad, BadLine)
    assert bad.reason == "column 'id' is no number: '0x7'"


def test_lines_that_say_it_themselves_have_the_last_word(read: Read) -> None:
    lines = [
        {"url": "http://x/1"},
        {"url": "http://x/2", "method": "DELETE"},
        {"url": "http://x/3", "body": {"own": 1}},
        {"url": "http://x/4", "id": 4, "meta": {"c": "SE"}, "headers": {"content-type": "a/b"}},
    ]
    content = "\n".join(map(json.dumps, lines))
    found = read(content, "a.jsonl", data='{"id": {id}, "c": {c}}', method="PATCH")
    assert [item.reason for item in found if isinstance(item, BadLine)] == ["has no 'id', which the template needs"] * 2
    three, four = [item for item in found if isinstance(item, Entry)]
    assert (three.method, three.body) == ("PATCH", b'{"own":1}')
    assert (four.method, four.body, four.headers) == ("PATCH", b'{"id": 4, "c": "SE"}', (("content-type", "a/b"),))
    methods = [entry.method for entry in entries(read(content, "a.jsonl", method="PUT"))]
    assert methods == [
        "PUT",
        "DELETE",
        "PUT",
        "PUT",
    ]


def test_a_method_alone_is_for_every_plain_line(read: Read) -> None:
    assert [entry.method for entry in entries(read("http://x/1\n", "a.txt", method="DELETE"))] == ["DELETE"]
    [entry] = entries(read("a,http://x/1\n", "a.csv", method="HEAD", data=None))
    assert (entry.method, entry.url, entry.body) == ("HEAD", "http://x/1", b"")
