"""The published examples are read and written without loss."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.unit.nexo.wire.messages import EXAMPLES, exact
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire.services import PaymentRequest, PaymentResponse


def test_there_are_all_of_them() -> None:
    assert len(EXAMPLES) == 33


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_its_envelope_keeps_all_that_it_says(name: str) -> None:
    message = wire.decode(EXAMPLES[name])
    assert message.envelope
    assert exact(wire.encode(message)) == exact(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_without_envelope_keeps_all_that_it_says(name: str) -> None:
    (content,) = json.loads(EXAMPLES[name]).values()
    message = wire.decode(json.dumps(content).encode())
    assert not message.envelope
    assert exact(wire.encode(message, flat=True)) == exact(json.dumps(content).encode())
    assert wire.digest(message) == wire.digest(wire.decode(EXAMPLES[name]))


def test_a_payment_reads_as_python() -> None:
    message = wire.decode(EXAMPLES["payment_req"])
    assert message.header.service_id == "a000000003"
    assert isinstance(message.body, PaymentRequest)
    asked = message.body.payment_transaction.amounts_req
    assert (asked.currency, asked.requested_amount) == ("EUR", Decimal("42.5"))
    assert message.body.sale_data.sale_transaction_id.transaction_id == "T-20261120-0042"


def test_an_answer_has_the_requests_header() -> None:
    request = wire.decode(EXAMPLES["payment_req"]).header
    answer = wire.decode(EXAMPLES["payment_resp"]).header
    assert wire.response_header(request) == answer


def test_a_stored_answer_is_the_very_answer() -> None:
    status = wire.decode(EXAMPLES["status_resp"]).body
    payment = wire.decode(EXAMPLES["payment_resp"])
    assert isinstance(payment.body, PaymentResponse)
    repeated = status.repeated_message_response  # type: ignore[union-attr]
    assert repeated is not None
    assert repeated.message_header == payment.header
    assert repeated.repeated_response_message_body is not None
    assert repeated.repeated_response_message_body.payment_response == payment.body


def test_the_digest_is_of_the_body_alone() -> None:
    first = wire.decode(EXAMPLES["payment_req"])
    again = wire.decode(EXAMPLES["payment_req"].replace(b"a000000003", b"a000000004"))
    dearer = wire.decode(EXAMPLES["payment_req"].replace(b"42.5", b"42.51"))
    assert wire.digest(first) == wire.digest(again) != wire.digest(dearer)
