"""Content decoding: the whole body that was encoded, or the error that says why not."""

from __future__ import annotations

import gzip
import json
import random
import sys
import tracemalloc
import zlib
from itertools import product
from typing import TYPE_CHECKING, Final

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest

from crawler.exceptions import CallError, DecodeError, TooLargeError, TruncatedError, UnknownCodingError
from crawler.items import Outcome
from crawler.wire.decoding import INPUT_BYTES, MAX_PARTS, OUTPUT_BYTES, decode, parse_codings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHECKSUM: Final[Mapping[int, int]] = {zstd.CompressionParameter.checksum_flag: 1}
SKIPPABLE: Final = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"


def body_of(size: int) -> bytes:
    """JSON-like text, the same in every run."""
    dice = random.Random(size)
    text = json.dumps([{"id": n, "value": dice.random(), "tag": dice.choice("abc")} for n in range(size // 40)])
    return text.encode().ljust(size)[:size]


def raw_deflate(body: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(body) + encoder.flush()


ENCODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
    "deflate, raw": raw_deflate,
    "br": lambda body: brotli.compress(body, quality=5),  # what servers use; the best takes seconds
    "zstd": zstd.compress,
    "zstd, checksum": lambda body: zstd.compress(body, options=CHECKSUM),
}
"""What a server may send -> how it makes it. The coding's name is what stands before the comma."""

CHECKED: Final[dict[str, Callable[[bytes], int]]] = {
    "gzip": zlib.crc32,
    "deflate": zlib.adler32,
    "zstd, checksum": hash,  # XXH64, which Python lacks: as good as comparing the bytes
}
"""Those that carry a checksum -> the checksum."""

BODY: Final = body_of(4096)
CODED: Final = {sent: encode(BODY) for sent, encode in ENCODERS.items()}
NO_LIMIT: Final = 0


PAIRS: Final = list(product(ENCODERS, ENCODERS))


def coding(sent: str) -> str:
    return sent.partition(",")[0]


def flips(data: bytes, masks: tuple[int, ...]) -> Iterator[bytes]:
    """*data* with one byte changed, for every byte and mask."""
    for at, mask in product(range(len(data)), masks):
        yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def passed(damaged: Iterator[bytes], codings: list[str]) -> set[bytes]:
    """What decoding makes of damaged bodies where it does not find the damage."""
    found = set()
    for data in damaged:
        try:
            found.add(decode(data, codings, max_bytes=NO_LIMIT))
        except (DecodeError, TruncatedError):
            continue
    return found


BITS: Final = tuple(1 << bit for bit in range(8))

every_way = pytest.mark.parametrize("sent", ENCODERS)


# Whole bodies


@every_way
@pytest.mark.parametrize("size", [0, 1, 4096, OUTPUT_BYTES - 1, OUTPUT_BYTES, OUTPUT_BYTES + 1, 3_000_000])
def test_a_whole_body_comes_back(sent: str, size: int) -> None:
    body = body_of(size)
    assert decode(ENCODERS[sent](body), [coding(sent)], max_bytes=size or NO_LIMIT) == body


@every_way
def test_a_body_of_few_bits_comes_back(sent: str) -> None:
    """All of the input is read before the output is complete, by a few bytes or by much."""
    for size in (*range(2 * OUTPUT_BYTES, 2 * OUTPUT_BYTES + 20), 5_000_000):
        body = bytes(size)
        assert decode(ENCODERS[sent](body), [coding(sent)], max_bytes=NO_LIMIT) == body


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_the_coding_applied_last_is_undone_first(inner: str, outer: str) -> None:
    twice = ENCODERS[outer](ENCODERS[inner](BODY))
    assert decode(twice, [coding(inner), coding(outer)], max_bytes=NO_LIMIT) == BODY


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", CODED["gzip"] * 3),
        ("x-gzip", CODED["gzip"] * 3),
        ("gzip", CODED["gzip"] * 2 + ENCODERS["gzip"](b"") + CODED["gzip"]),
        ("zstd", CODED["zstd"] + CODED["zstd, checksum"] + CODED["zstd"]),
        ("zstd", SKIPPABLE + CODED["zstd"] * 2 + SKIPPABLE + CODED["zstd"]),
    ],
)
def test_several_members_or_frames_are_one_body(coding: str, body: bytes) -> None:
    assert decode(body, [coding], max_bytes=NO_LIMIT) == BODY * 3


@pytest.mark.parametrize("codings", [[], ["identity"], ["identity"] * 5])
def test_identity_changes_nothing(codings: list[str]) -> None:
    assert decode(BODY, codings, max_bytes=NO_LIMIT) is BODY


# Damage


@every_way
def test_a_body_cut_anywhere_is_truncated(sent: str) -> None:
    whole = CODED[sent]
    for length in range(len(whole)):
        with pytest.raises(TruncatedError):
            decode(whole[:length], [coding(sent)], max_bytes=NO_LIMIT)


@every_way
def test_a_long_body_is_truncated_wherever_it_is_fed_in_pieces(sent: str) -> None:
    whole = ENCODERS[sent](body_of(600_000))
    for at in range(0, len(whole), INPUT_BYTES):
        for length in (at - 1, at, at + 1, len(whole) - 1):
            with pytest.raises(TruncatedError):
                decode(whole[: max(length, 0)], [coding(sent)], max_bytes=NO_LIMIT)


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_a_cut_is_found_in_either_of_two_layers(inner: str, outer: str) -> None:
    codings = [coding(inner), coding(outer)]
    cut = ENCODERS[outer](CODED[inner][:-1])
    whole = ENCODERS[outer](CODED[inner])
    for body in (cut, *(whole[:length] for length in range(len(whole)))):
        with pytest.raises(TruncatedError):
            decode(body, codings, max_bytes=NO_LIMIT)


@pytest.mark.parametrize("sent", CHECKED)
def test_a_changed_byte_never_passes_a_checksum(sent: str) -> None:
    """What passes is the body itself (the change was in a header's idle bits) or has its checksum.

    The latter happens, in deflate only: Adler-32 does not see every change of three digits.
    """
    checksum = CHECKED[sent]
    found = passed(flips(CODED[sent], (*BITS, 0xFF)), [coding(sent)])
    assert {checksum(body) for body in found} <= {checksum(BODY)}


@pytest.mark.parametrize("sent", sorted(ENCODERS))
@pytest.mark.parametrize("checked", ["gzip", "zstd, checksum"])
def test_a_checksum_in_either_of_two_layers_is_enough(sent: str, checked: str) -> None:
    for inner, outer in ((sent, checked), (checked, sent)):
        twice = ENCODERS[outer](CODED[inner])
        assert passed(flips(twice, (0x01, 0x80, 0xFF)), [coding(inner), coding(outer)]) <= {BODY}


@pytest.mark.parametrize("sent", sorted(ENCODERS.keys() - CHECKED.keys()))
def test_without_a_checksum_a_changed_byte_may_pass(sent: str) -> None:
    """What the middleware's choice of coding stands on; nobody could find these."""
    assert passed(flips(CODED[sent], (0x01,)), [coding(sent)]) - {BODY}


def test_only_what_says_nothing_of_the_body_may_change_in_gzip() -> None:
    """Byte 3: the flag that it may be text; 4 to 9: time, level and system of the sender."""
    damaged = list(flips(CODED["gzip"], (0x01,)))
    harmless = {at for at, data in enumerate(damaged) if passed(iter([data]), ["gzip"])}
    assert {3, 4, 5, 6, 7, 8, 9} <= harmless
    assert harmless.isdisjoint({0, 1, 2, *range(len(damaged) - 8, len(damaged))})


@every_way
@pytest.mark.parametrize("rest", [b"\0", b"\0" * 512, b"\n", b"<html>", b"\xff" * 100_000], ids=len)
def test_nothing_may_follow_the_end(sent: str, rest: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(CODED[sent] + rest, [coding(sent)], max_bytes=NO_LIMIT)


@every_way
@pytest.mark.parametrize("body", [b'{"plain": "JSON"}', b"<!doctype html>", BODY], ids=["json", "html", "long"])
def test_a_body_that_is_not_encoded_at_all_is_not_taken_for_one(sent: str, body: bytes) -> None:
    with pytest.raises((DecodeError, TruncatedError)):
        decode(body, [coding(sent)], max_bytes=NO_LIMIT)


@every_way
def test_the_second_of_two_parts_is_checked_as_the_first(sent: str) -> None:
    twice = CODED[sent] * 2
    expected = TruncatedError if coding(sent) in {"gzip", "zstd"} else DecodeError
    with pytest.raises(expected):
        decode(twice[:-1], [coding(sent)], max_bytes=NO_LIMIT)


# What we do not undo


@pytest.mark.parametrize("codings", [["compress"], ["utf-8"], ["gzip", "nonsense"], ["GZIP"], ["*"]])
def test_an_unknown_coding_is_refused(codings: list[str]) -> None:
    with pytest.raises(UnknownCodingError, match="unknown content coding"):
        decode(CODED["gzip"], codings, max_bytes=NO_LIMIT)


@pytest.mark.parametrize("count", [3, 10])
def test_more_than_two_codings_are_refused(count: int) -> None:
    body = BODY
    for _ in range(count):
        body = gzip.compress(body)
    with pytest.raises(UnknownCodingError, match=f"{count} content codings"):
        decode(body, ["gzip"] * count, max_bytes=NO_LIMIT)


@pytest.mark.parametrize("sent", ["gzip", "zstd"])
def test_a_body_of_very_many_parts_is_refused(sent: str) -> None:
    empty = ENCODERS[sent](b"")
    assert decode(empty * MAX_PARTS, [sent], max_bytes=1) == b""
    with pytest.raises(DecodeError, match="parts"):
        decode(empty * (MAX_PARTS + 1), [sent], max_bytes=1)


def test_a_zstd_window_beyond_8_mib_is_refused() -> None:
    """RFC 9659: a decoder must not be made to hold more."""
    body = body_of(9_000_000)
    for log, ends_well in ((23, True), (24, False)):
        window: Mapping[int, int] = {
            zstd.CompressionParameter.window_log: log,
            zstd.CompressionParameter.content_size_flag: 0,
        }
        coded = zstd.compress(body, options=window)
        if ends_well:
            assert decode(coded, ["zstd"], max_bytes=NO_LIMIT) == body
        else:
            with pytest.raises(DecodeError, match="too much memory"):
                decode(coded, ["zstd"], max_bytes=NO_LIMIT)


# Size


@every_way
@pytest.mark.parametrize("size", [4096, OUTPUT_BYTES, 1_000_000])
def test_the_limit_is_exact(sent: str, size: int) -> None:
    coded = ENCODERS[sent](body_of(size))
    assert len(decode(coded, [coding(sent)], max_bytes=size)) == size
    with pytest.raises(TooLargeError):
        decode(coded, [coding(sent)], max_bytes=size - 1)


@every_way
def test_a_bomb_is_found_out_before_it_fills_the_memory(sent: str) -> None:
    bomb = ENCODERS[sent](bytes(50_000_000))
    max_bytes = 4 * OUTPUT_BYTES
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decode(bomb, [coding(sent)], max_bytes=max_bytes)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < max_bytes + 8 * OUTPUT_BYTES  # brotli's piece, its copy, and room to grow


def test_a_bomb_in_the_inner_layer_is_found_out() -> None:
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    assert len(bomb) < 1000
    with pytest.raises(TooLargeError):
        decode(bomb, ["gzip", "gzip"], max_bytes=1_000_000)


@every_way
def test_a_large_body_is_not_held_twice(sent: str) -> None:
    body = body_of(8_000_000)
    coded = ENCODERS[sent](body)
    tracemalloc.start()
    decode(coded, [coding(sent)], max_bytes=NO_LIMIT)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1.5 * len(body)


# Names


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], []),
        ([b""], []),
        ([b"gzip"], ["gzip"]),
        ([b"GZip"], ["gzip"]),
        ([b" gzip ,\tbr "], ["gzip", "br"]),
        ([b"gzip", b"br"], ["gzip", "br"]),
        ([b",, gzip,", b"", b" , "], ["gzip"]),
        ([b"identity, gzip"], ["identity", "gzip"]),
        ([b"g\xe9zip"], ["gézip"]),
    ],
)
def test_content_encoding_is_read_as_a_list(values: list[bytes], codings: list[str]) -> None:
    assert parse_codings(values) == codings


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DecodeError, Outcome.DECODE),
        (UnknownCodingError, Outcome.DECODE),
        (TruncatedError, Outcome.TRUNCATED),
        (TooLargeError, Outcome.TOO_LARGE),
        (CallError, None),
    ],
)
def test_an_error_carries_the_outcome_that_it_means(error: type[CallError], outcome: Outcome | None) -> None:
    assert error("why").outcome is outcome
