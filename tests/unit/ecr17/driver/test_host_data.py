"""What a till hands to the terminal's host with a sale, and what comes back (`U`)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import TICKET, ack, both, result, wait
from tests.unit.ecr17.driver.till import approved, payment, till
from tillwire.core.model import ForHost, HostTag, Receipts, Terms, Transaction, TransactionType
from tillwire.dialects.ecr17 import wire
from tillwire.errors import NotDelivered

TAGS = [{"index": 5, "content": "0COF0TRK{reference}|0FNZ03"}]
OWN = ForHost(
    tags=(HostTag("BTD1666354841608", 1), HostTag("0REC0FNZ03", 5)),
    purpose="000001",
    wanted_field="62",
    wanted_tag="DF8D01",
)


def tagged(kind: TransactionType = TransactionType.PURCHASE, **changes: Any) -> Transaction:
    return payment(type=kind, terms=Terms(for_host=OWN), **changes)


def host_says(content: str) -> pos.Act:
    return pos.say(wire.HostData(tid=pos.TID, content=content))


@pytest.mark.parametrize("settings", [{}, {"tags": TAGS, "host_data": True}])
@virtual()
async def test_what_the_till_hands_over_goes_in_place_of_the_settings(
    settings: dict[str, Any],
) -> None:
    counter = await till(**settings)
    assert counter.driver.capabilities.for_host
    counter.pos.will("X", both(ack, wait(1), result(), host_says("TOKEN 7")))
    outcome = await counter.run(tagged())
    assert outcome.from_host == "TOKEN 7"
    (asked,) = counter.pos.of("X")
    (data,) = counter.pos.of("U")
    assert asked.additional_data
    assert data == wire.AdditionalData(
        tid=counter.driver.settings.tid,
        payment_type="000001",
        back_from="62",
        back_tag="DF8D01",
        tags=(wire.Tag("BTD1666354841608", 1), wire.Tag("0REC0FNZ03", 5)),
    )
    assert counter.pos.codes == "GXU"


@virtual()
async def test_nothing_is_waited_for_that_nobody_wants_back() -> None:
    counter = await till()
    began = virtual_loop().time()
    quiet = msgspec.structs.replace(OWN, wanted_field="", wanted_tag="")
    counter.pos.will("X", both(ack, wait(1), result()))
    await counter.run(payment(terms=Terms(for_host=quiet)))
    (data,) = counter.pos.of("U")
    assert (data.back_from, data.wants_back) == ("00", False)
    assert virtual_loop().time() - began < 2


@virtual()
async def test_the_hosts_answer_is_not_waited_for_once_it_is_there() -> None:
    counter = await till()
    counter.pos.will("X", both(ack, result(), host_says("TOKEN 7")))
    began = virtual_loop().time()
    assert (await counter.run(tagged())).from_host == "TOKEN 7"
    assert virtual_loop().time() - began < 1


@pytest.mark.parametrize("data_first", [True, False])
@virtual()
async def test_receipts_and_the_hosts_answer_come_in_either_order(data_first: bool) -> None:
    counter = await till(receipts="till")
    after = [host_says("TOKEN 7"), wait(3), pos.receipts]
    counter.pos.will("X", both(ack, result(), *(after if data_first else after[::-1])))
    outcome = await counter.run(tagged())
    assert outcome.from_host == "TOKEN 7"
    assert outcome.receipts == Receipts(cardholder=TICKET + "\n")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (TransactionType.PREAUTH, "p"),
        (TransactionType.INCREMENT, "i"),
        (TransactionType.CAPTURE, "c"),
        (TransactionType.REVERSAL, "S"),
        (TransactionType.REFUND, "A"),
    ],
)
@virtual()
async def test_it_goes_with_every_command(kind: TransactionType, code: str) -> None:
    counter = await till(refund=True)
    original = approved(
        type=TransactionType.PREAUTH if kind in FOLLOWING else TransactionType.PURCHASE
    )
    counter.notes.known = [original]
    followed = None if kind is TransactionType.PREAUTH else original.id
    await counter.run(tagged(kind, original_id=followed))
    assert counter.pos.of(code)[0].additional_data
    assert len(counter.pos.of("U")) == 1


FOLLOWING = frozenset({TransactionType.INCREMENT, TransactionType.CAPTURE})


@pytest.mark.parametrize(
    "tags",
    [
        (),
        (HostTag("A" * 31, 1),),
        (HostTag("A", 1), HostTag("B", 1)),
        (HostTag("A", 6),),
        (HostTag("A"),) * 5,
        (HostTag("A" * 60), HostTag("B" * 60)),
        (HostTag("caff\u00e8", 1),),
        (HostTag("A\x1bB", 1),),
    ],
)
@virtual()
async def test_what_has_no_place_is_not_charged_without(tags: tuple[HostTag, ...]) -> None:
    counter = await till()
    with pytest.raises(NotDelivered, match="no place"):
        await counter.run(payment(terms=Terms(for_host=ForHost(tags=tags))))
    assert counter.pos.connections == 0


@virtual()
async def test_the_tills_text_is_printed_under_the_receipt() -> None:
    counter = await till(print_reference=True)
    await counter.run(payment(terms=Terms(receipt_text="Contratto n\u00b0 7" + "x" * 200)))
    text = counter.pos.of("X")[0].receipt_text
    assert text.startswith("Contratto n")
    assert len(text) == 128
    await counter.run(payment(reference="bill 8"))
    assert counter.pos.of("X")[1].receipt_text == "bill 8"
