"""Callbacks come small or whole, in either spelling, plain or packed, within limits."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.paymentbridge.wire.structures import VISA, structures
from tillwire.dialects.paymentbridge.wire import objects, reading, status
from tillwire.dialects.paymentbridge.wire.status import KeyStyle
from tillwire.errors import RemoteProtocolError

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["N"]), min_size=1, max_size=40)
few = settings(max_examples=max(settings.default.max_examples // 5, 1))


@given(PLAIN, st.sampled_from(KeyStyle), st.sampled_from([status.RECEIVED, status.STARTED]))
def test_what_is_told_first_is_read(reference: str, style: KeyStyle, word: str) -> None:
    told = status.read(status.opening(word, reference, style))
    assert told == status.Told(reference=reference, status=word)


@pytest.mark.parametrize(
    ("style", "keys"),
    [
        (KeyStyle.NEXI, {"referenceID"}),
        (KeyStyle.POYNT, {"referenceId"}),
        (KeyStyle.BOTH, {"referenceID", "referenceId"}),
    ],
)
def test_the_spelling_is_a_choice(style: KeyStyle, keys: set[str]) -> None:
    assert json.loads(status.opening("RECEIVED", "r", style)) == {
        "status": "RECEIVED",
        **dict.fromkeys(keys, "r"),
    }


@pytest.mark.parametrize(
    ("loose", "reference"),
    [
        ({"referenceID": "r", "status": "RECEIVED"}, "r"),
        ({"REFERENCEID": "r", "status": "received "}, "r"),
        ({"referenceid": "r", "referenceID": None, "status": "RECEIVED"}, "r"),
        ({"references": [{"id": "r", "customType": "referenceId"}], "status": "RECEIVED"}, "r"),
        ({"references": [{"id": "x"}, 7], "status": "RECEIVED"}, ""),
        ({"references": "x", "status": "RECEIVED"}, ""),
        ({"status": "RECEIVED", "more": {"referenceId": "x"}}, ""),
    ],
)
def test_the_reference_is_found_however_it_is_spelled(loose: Any, reference: str) -> None:
    told = status.read(json.dumps(loose).encode())
    assert (told.reference, told.status, told.rank) == (reference, "RECEIVED", 1)


def test_a_small_cancel_is_the_last_one() -> None:
    told = status.read(b'{"referenceId":"r","status":"canceled"}')
    assert (told.reference, told.status, told.rank) == ("r", "CANCELED", 3)
    assert told.payment == objects.Payment(reference_id="r", status="canceled")


def test_a_later_callback_ranks_higher() -> None:
    ranks = [status.rank(word) for word in ("RECEIVED", "STARTED", "PROCESSED")]
    assert ranks == [1, 2, 3]
    assert status.rank("whatever") == 3
    assert status.rank("received") == 1


@few
@given(structures(objects.Payment), st.sampled_from(["PROCESSED", "CANCELED", "HOLD", "x"]))
def test_a_whole_payment_is_read_plain_and_packed(made: objects.Payment, word: str) -> None:
    loose = {**json.loads(reading.encode(made)), "status": word, "referenceId": "r"}
    body = json.dumps({**loose, "references": []}).encode()
    told = status.read(body)
    assert told == status.read(status.packed(body), "gzip")
    assert told.payment == reading.read(objects.Payment, body)
    assert (told.reference, told.status, told.rank) == ("r", word.upper(), 3)


@pytest.mark.parametrize(
    "loose",
    [
        None,
        [],
        7,
        {},
        {"referenceID": "r"},
        {"status": None},
        {"status": 7},
        {"status": ""},
        {"status": " "},
        {"status": "x" * 65},
        {"status": "RECEIVED", "referenceID": 7},
        {"status": "RECEIVED", "referenceID": ["r"]},
        {"status": "RECEIVED", "referenceID": {}},
        {"status": "RECEIVED", "referenceID": "x" * 257},
        {"status": "RECEIVED", "referenceID": "a", "referenceId": "b"},
        {"status": "RECEIVED", "references": [{"id": [], "customType": "referenceId"}]},
        {
            "status": "RECEIVED",
            "referenceId": "a",
            "references": [{"id": "b", "customType": "referenceId"}],
        },
        {"status": "PROCESSED", "referenceId": "r", "transactions": "x"},
        {"status": "PROCESSED", "referenceId": "r", "transactions": [{"amounts": 1}]},
    ],
)
def test_what_is_no_callback_is_refused(loose: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        status.read(json.dumps(loose).encode())


@given(st.binary(max_size=90), st.sampled_from(["", "gzip"]))
def test_any_octets_are_read_or_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(RemoteProtocolError):
        status.read(body, encoding)


def test_no_card_number_comes_through() -> None:
    told = status.read(json.dumps({"referenceID": VISA, "status": "RECEIVED"}).encode())
    assert VISA not in repr(told)
    told = status.read(json.dumps({"referenceId": VISA, "status": VISA}).encode())
    assert VISA not in repr(told)


# --- packed -----------------------------------------------------------------------------------

BODY = b'{"referenceID":"r","status":"STARTED"}'


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_a_packed_body_is_unpacked(encoding: str) -> None:
    assert status.read(gzip.compress(BODY), encoding).status == "STARTED"


@given(st.binary(max_size=2_000))
def test_what_is_packed_comes_back_and_is_always_the_same(body: bytes) -> None:
    assert status.unpacked(status.packed(body), "gzip") == body
    assert status.packed(body) == status.packed(body)
    assert status.unpacked(body) == body


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    most = b" " * status.LARGEST
    assert status.unpacked(most) == status.unpacked(gzip.compress(most), "gzip") == most
    for body, encoding in ((most + b" ", ""), (gzip.compress(most + b" "), "gzip")):
        with pytest.raises(RemoteProtocolError):
            status.unpacked(body, encoding)


def packed(octets: bytes) -> bytes:
    """The same at any time, since it is part of a test's name."""
    return gzip.compress(octets, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (packed(b" " * 50_000_000), "gzip"),
        (packed(packed(BODY)) + b"x", "gzip"),
        (packed(BODY) * 2, "gzip"),
        (packed(BODY)[:-1], "gzip"),
        (packed(BODY)[:-5] + b"\0" * 5, "gzip"),
        (BODY, "gzip"),
        (b"", "gzip"),
        (zlib.compress(BODY), "deflate"),
        (packed(BODY), "gzip, gzip"),
        (BODY, "br"),
        (packed(BODY), ""),
        (b"\x1f\x8b" + b"x" * 200_000, "gzip"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(RemoteProtocolError):
        status.read(body, encoding)
