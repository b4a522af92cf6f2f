"""The link's messages, on both sides, without any network."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.device import wire
from tillwire.errors import InvalidRequest, RemoteProtocolError
from tillwire.money import Money

DEVICE = wire.Device("secret")


def test_an_offer_is_read_as_it_was_written() -> None:
    offer = wire.Offer(
        id="1",
        type="PURCHASE",
        amount=wire.Amount.of(Money(1250, "EUR")),
        reference="till 7",
        resume=False,
        partial_allowed=True,
    )
    assert wire.parse(wire.Offer, wire.encode(offer)) == offer


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1250, "EUR"), b'"value":12.50'),
        (Money(5, "EUR"), b'"value":0.05'),
        (Money(1200, "JPY"), b'"value":1200'),
        (Money(12345, "KWD"), b'"value":12.345'),
        (Money(-100, "EUR"), b'"value":-1.00'),
    ],
)
def test_amounts_are_exact_json_numbers(money: Money, text: bytes) -> None:
    assert text in wire.encode(wire.Amount.of(money))


@pytest.mark.parametrize(
    "poll",
    [wire.Poll(), wire.Poll(30), wire.Poll(2.5, 7), wire.Poll(0, 0), wire.Poll(1, 2**53 - 1)],
)
def test_a_poll_is_read_as_it_was_written(poll: wire.Poll) -> None:
    request = DEVICE.next(poll)
    path, _, query = request.target.partition("?")
    assert (request.method, path) == ("POST", "/next")
    assert wire.parse_poll(query.encode()) == poll


@pytest.mark.parametrize(
    "event",
    [
        wire.CardPresented(),
        wire.Approved(approved_amount=5, tip=1, authorisation_code="1", stan="1", brand="VISA"),
        wire.Declined(response_code="51", application_id="A0000000031010", entry_mode="CHIP"),
        wire.Cancelled(reason="No", receipt="a\nb"),
    ],
)
def test_an_event_is_read_as_it_was_written(event: wire.Event) -> None:
    request = DEVICE.tell("12", event)
    assert request.target == "/transactions/12/events"
    assert ("content-type", "application/json") in request.headers
    assert wire.parse_event(request.body) == event


def test_a_terminal_shows_its_token() -> None:
    (header,) = DEVICE.configuration().headers
    assert header == ("authorization", "Bearer secret")
    assert wire.digest_of_bearer(header[1]) == wire.digest_of_bearer("bearer  secret")
    assert wire.digest_of_bearer("Basic secret") is None


def refused_field(parser: Callable[[bytes], object], octets: bytes) -> str:
    """The field for which a parser refuses its input; empty if it takes it."""
    try:
        parser(octets)
    except InvalidRequest as refusal:
        return refusal.field
    return ""


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_our_own_errors(garbage: bytes) -> None:
    with pytest.raises(InvalidRequest):
        wire.parse_event(garbage)
    with pytest.raises(RemoteProtocolError):
        wire.parse(wire.Offer, garbage)
    assert refused_field(wire.parse_poll, garbage) in ("", "wait", "boot")


@given(
    st.dictionaries(
        st.sampled_from([*wire.Approved.__struct_fields__, "type"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    )
)
def test_any_json_is_an_event_or_names_its_field(members: dict[str, object]) -> None:
    body = msgspec.json.encode({"type": "approved", **members})
    assert refused_field(wire.parse_event, body) in {"", "type", *members}


@pytest.mark.parametrize("member", ["stan", "response_code", "application_id"])
def test_a_line_end_is_part_of_no_number(member: str) -> None:
    body = msgspec.json.encode({"type": "approved", member: "\n"})
    assert refused_field(wire.parse_event, body) == member


def test_what_a_terminal_writes_steers_no_printer() -> None:
    written = {"type": "approved", "brand": "\x1b[31mVI\nSA", "receipt": "A\x1b@\0B\tC\r\nD\u202e"}
    event = wire.parse_event(msgspec.json.encode(written))
    assert isinstance(event, wire.Approved)
    assert event.brand == " [31mVI SA"
    assert event.receipt == "A @ B C\nD "


@pytest.mark.parametrize("between", ["\\u0000", "\\t", "\\u202a"])
def test_a_card_number_does_not_hide_behind_what_is_not_seen(between: str) -> None:
    receipt = between.join(["4111", "1111", "1111", "1111"])
    event = wire.parse_event(f'{{"type":"declined","receipt":"{receipt}"}}'.encode())
    assert isinstance(event, wire.Declined)
    assert event.receipt == "**** **** **** 1111"
