"""Every end of every command has a result, whatever the terminal said: a till that is owed an
answer must not go without one because a word does not fit."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from tests.unit.receipt_fixture import HEADING
from tillwire.clock import Instant
from tillwire.core.model import (
    Cause,
    Conversion,
    EntryMode,
    Exchange,
    Outcome,
    State,
    Transaction,
    Verdict,
)
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.memos import Job, Memo
from tillwire.dialects.ecr17.face.orders import KIND_OF, TYPE_OF
from tillwire.dialects.ecr17.face.results import refusal, result_of
from tillwire.dialects.ecr17.face.settings import Settings
from tillwire.errors import Proof
from tillwire.money import Money
from tillwire.pan import is_in

SETTINGS = Settings(organisation="shop", terminal="t")
TID = "30350001"
AT = Instant(1_785_000_000_000)

PLAIN = Outcome(Verdict.APPROVED, approved_amount=1250, stan="000481", card_last4="0119")
OUTCOMES = (
    None,
    PLAIN,
    Outcome(Verdict.APPROVED, approved_amount=1250),
    Outcome(
        Verdict.APPROVED,
        approved_amount=150_000_000,
        tip=149_998_750,
        at=AT,
        stan="123456789012",
        authorisation_code="é7K2P19-LONG",
        brand="PagoBANCOMAT",
        card_last4="12",
        entry_mode=EntryMode.SWIPE,
        response_code="Z3",
    ),
    msgspec.structs.replace(
        PLAIN, stan="ABC", conversion=Conversion(Money(1, "JPY"), "123456.789")
    ),
    msgspec.structs.replace(PLAIN, conversion=Conversion(Money(1339, "USD"), "1.08504999")),
    Outcome(Verdict.DECLINED, reason="Nicht genügend Guthaben auf 4761739001010119 € " * 9),
    Outcome(Verdict.DECLINED, response_code="51"),
    Outcome(Verdict.CANCELLED),
    Outcome(Verdict.CANCELLED, cause=Cause.NO_CARD),
)


def ended(kind: str, outcome: Outcome | None) -> Transaction:
    return Transaction(
        id="1" * 31,
        version=3,
        organisation_id="shop",
        terminal_id="t1",
        dialect="ecr17",
        type=TYPE_OF[kind],
        state=outcome.verdict.state if outcome else State.FAILED,
        amount=Money(1250, "EUR"),
        reference="r",
        heading=HEADING,
        created_at=AT,
        ended_at=AT,
        outcome=outcome,
    )


def job(kind: str, **memo: Any) -> Job:
    return Job(
        Exchange(
            organisation_id="shop",
            terminal_id="t1",
            dialect="ecr17",
            register="00000001",
            number="1785000000000",
            kind=kind,
            digest="",
            at=AT,
            chain="987654321" if kind == "p" else "",
            request=msgspec.json.encode(Memo(TID, **memo)).decode(),
        )
    )


@pytest.mark.parametrize(("kind", "outcome"), list(itertools.product(TYPE_OF, OUTCOMES)))
def test_every_end_of_every_command_has_a_result(kind: str, outcome: Outcome | None) -> None:
    payload = result_of(job(kind), ended(kind, outcome), SETTINGS)
    asks = next(request for request, code in KIND_OF.items() if code == kind)
    request = asks(
        tid=TID,
        cash_register="00000001",
        **{
            each: value
            for each, value in (("amount", 1), ("preauthorisation_code", "987654321"))
            if each in asks.__struct_fields__
        },
    )
    found: Any = wire.decode_result(payload, request)
    approved = outcome is not None and outcome.verdict is Verdict.APPROVED
    assert (found.tid, found.approved) == (TID, approved)
    if not approved:
        assert found.error_text
        assert not is_in(found.error_text)
    if kind != "A":
        assert len(found.stan) == 6
    if kind == "p" and approved:
        assert found.preauthorisation_code == "987654321"


@pytest.mark.parametrize("kind", ["i", "c", "S", "H"])
def test_every_refusal_can_be_read(kind: str) -> None:
    found: Any = wire.decode_result(refusal(kind, TID, "STAN NON VALIDO", SETTINGS))
    assert (found.tid, found.result) == (TID, "01")


def test_a_stan_is_the_terminals_else_the_lanes() -> None:
    def stan(outcome: Outcome) -> str:
        found = wire.decode_result(result_of(job("X"), ended("X", outcome), SETTINGS))
        assert isinstance(found, wire.PaymentResult)
        return found.stan

    assert stan(PLAIN) == "000481"
    assert stan(msgspec.structs.replace(PLAIN, stan="7")) == "000007"
    lanes = {stan(msgspec.structs.replace(PLAIN, stan=none)) for none in ("", "000000", "ABC")}
    assert len(lanes) == 1
    assert lanes != {"000000"}


@pytest.mark.parametrize(
    ("proof", "told"),
    [
        (Proof.NEVER_SENT, "TERMINALE NON RAGGIUNTO"),
        (Proof.CONNECT_REFUSED, "TERMINALE NON RAGGIUNTO"),
        (Proof.REFUSED_BY_PEER, "RIFIUTATO DAL TERMINALE"),
        (Proof.ABSENT_AT_PEER, "OPERAZIONE NON ESEGUITA"),
    ],
)
def test_what_no_terminal_did_is_told_with_its_proof(proof: Proof, told: str) -> None:
    failed = msgspec.structs.replace(ended("X", None), proof=proof)
    found = wire.decode_result(result_of(job("X"), failed, SETTINGS))
    assert isinstance(found, wire.PaymentResult)
    assert (found.result, found.error_text) == ("01", told)


def test_the_day_of_a_result_is_the_shops_own() -> None:
    newyear = msgspec.structs.replace(PLAIN, at=Instant(1_798_760_000_000))
    found = wire.decode_result(result_of(job("X"), ended("X", newyear), SETTINGS))
    assert isinstance(found, wire.PaymentResult)
    assert found.host_time == wire.HostTime(1, 0, 33)
