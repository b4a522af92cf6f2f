"""What a phone itself remembers of its last transaction: asked for by a link, matched with one of
ours where that is plain, and never believed alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.unit.softpos.driver.backend import TID, Json, answers
from tests.unit.softpos.driver.counter import LANE, Counter, at_a_counter
from tillwire.clock import utc
from tillwire.core.books import LastKnown
from tillwire.core.model import Transaction, TransactionType, Verdict

WITHIN = 120.0


async def ask(counter: Counter, answer: Callable[[str], Json]) -> LastKnown:
    """Somebody at the phone opens the link, and the app comes back with this."""
    shown: asyncio.Queue[str] = asyncio.Queue()
    asking = asyncio.create_task(
        counter.gateway.engine.last_transaction(
            LANE, tell=shown.put_nowait, seconds=WITHIN, at_terminal=True
        )
    )
    text = await shown.get()
    found = re.search(r"neximpos://last_transaction\?\S+", text)
    assert found is not None, text
    link = found.group()
    await counter.come_back(link, {**slip(link), **answer(link)})
    return await asking


def slip(link: str) -> Json:
    """What every answer has."""
    found = re.search(r"callerTrxId=([^&]+)", link)
    assert found is not None
    return {"operationType": "LAST_TRANSACTION", "callerTrxId": found.group(1), "result": "0"}


def receipt(paid: Transaction, **changes: str) -> Json:
    """The slip of a payment of ours."""
    assert paid.sent_at is not None
    there = datetime.fromtimestamp(paid.sent_at / 1000, ZoneInfo(paid.heading.time_zone))
    return {
        "amount": f"{paid.amount.minor:012d}",
        "f30": f"{paid.amount.minor:012d}",
        "f11": "000123",
        "f12": f"{there:%H%M%S}",
        "f13": f"{there:%m%d}",
        "f37": "607314001233",
        "f38": "417302",
        "f39": "00",
        "f41": TID,
        "CT100": "4417",
        "CT105": "0100",
        "CT108": "VISA",
        **changes,
    }


@at_a_counter()
async def test_a_slip_is_matched_and_the_backend_is_asked(counter: Counter) -> None:
    await counter.paid(700)
    paid = await counter.paid()
    told = await ask(counter, lambda _: receipt(paid))
    assert told.trouble == ""
    assert told.known is not None
    assert told.known.id == paid.id
    entry = told.entry
    assert entry is not None
    assert entry.outcome is not None
    assert (entry.verdict, entry.amount, entry.currency) == ("APPROVED", 1250, "EUR")
    assert entry.type is TransactionType.PURCHASE
    assert (entry.outcome.stan, entry.outcome.authorisation_code) == ("000123", "417302")
    assert (entry.outcome.card_last4, entry.outcome.brand) == ("4417", "VISA")
    assert entry.outcome.acquirer_reference == "607314001233", "which passes the Luhn check"
    assert entry.at is not None
    assert paid.sent_at is not None
    assert utc(entry.at) == utc(paid.sent_at).replace(microsecond=0)
    assert "can be forged" in entry.words
    assert "The backend says APPROVED." in entry.words
    assert entry.agrees_with(paid) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1251", "f30": "1251"},
        {"CT105": "0400"},
        {"f41": "99999999"},
        {"f13": "0101"},
        {"f12": "1"},
        {"f13": "", "f12": ""},
    ],
)
@at_a_counter()
async def test_a_slip_that_fits_none_of_ours_names_none(
    counter: Counter, changes: dict[str, str]
) -> None:
    paid = await counter.paid()
    told = await ask(counter, lambda _: receipt(paid, **changes))
    assert told.entry is not None
    assert (told.entry.name, told.entry.transaction_id) == ("607314001233", "")
    assert told.known is None
    assert "The backend" not in told.entry.words


@at_a_counter()
async def test_two_that_fit_are_none(counter: Counter) -> None:
    await counter.paid()
    paid = await counter.paid()
    told = await ask(counter, lambda _: receipt(paid))
    assert told.entry is not None
    assert told.known is None


@at_a_counter()
async def test_what_a_forger_says_moves_nothing(counter: Counter) -> None:
    order = await counter.order()
    await counter.shown(order)
    unknown = await counter.lost(order)
    told = await ask(counter, lambda _: receipt(unknown))
    assert told.entry is not None
    assert told.known is not None
    assert told.known.id == unknown.id
    assert "The backend does not know it." in told.entry.words
    assert told.entry.agrees_with(told.known) is None
    assert not (await counter.now(order)).is_final


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ({"result": "-41"}, ""),
        ({"result": "-7", "amount": "0"}, "TID suspended"),
        ({"result": "20", "amount": "0"}, "cancelled"),
        ({"result": "-6"}, "login needed"),
        ({"result": "-8", "amount": ""}, "no TID"),
    ],
)
@at_a_counter()
async def test_a_phone_that_tells_nothing(
    counter: Counter, answer: dict[str, str], trouble: str
) -> None:
    told = await ask(counter, lambda _: answer)
    assert told.entry is None
    assert trouble in told.trouble
    assert bool(told.trouble) is bool(trouble)
    assert "broke the protocol" not in told.trouble, "that it says no is no fault of its own"


@at_a_counter()
async def test_an_answer_that_nobody_can_read_is_not_waited_behind(counter: Counter) -> None:
    began = counter.gateway.clock.now()
    told = await ask(counter, lambda _: {"amount": "1", "f41": "3035"})
    assert told.entry is None
    assert "terminal is no TID" in told.trouble
    assert counter.gateway.clock.now() - began < 1_000


@at_a_counter()
async def test_a_refused_payment_is_one_too(counter: Counter) -> None:
    paid = await counter.paid()
    told = await ask(counter, lambda _: receipt(paid, f39="116"))
    assert told.entry is not None
    assert told.entry.outcome is not None
    assert told.entry.outcome.verdict is Verdict.DECLINED
    assert told.entry.agrees_with(paid) is False
    told = await ask(counter, lambda _: receipt(paid, f39=""))
    assert told.entry is not None
    assert told.entry.outcome is None


@at_a_counter()
async def test_nobody_opens_the_link(counter: Counter) -> None:
    began = counter.gateway.clock.now()
    told = await counter.gateway.engine.last_transaction(LANE, seconds=60, at_terminal=True)
    assert "within 60 seconds" in told.trouble
    assert counter.gateway.clock.now() - began == 60_000


@at_a_counter()
async def test_the_first_answer_counts(counter: Counter) -> None:
    paid = await counter.paid()
    links: list[str] = []

    def answer(link: str) -> Json:
        links.append(link)
        return receipt(paid)

    told = await ask(counter, answer)
    assert told.known is not None
    late = await counter.come_back(links[0], {**slip(links[0]), **receipt(paid)})
    assert late.status == 200  # noted, and nobody waits for it


@at_a_counter()
async def test_an_answer_to_another_question_is_none(counter: Counter) -> None:
    """As the app gives it when its accounts are closed."""
    told = await ask(
        counter,
        lambda _: {
            "operationType": "ACCOUNTING_CLOSURE",
            "hostTotal": "1250",
            "terminalTotal": "1250",
        },
    )
    assert told.entry is None
    assert "ACCOUNTING_CLOSURE" in told.trouble


@at_a_counter()
async def test_when_the_backend_is_away_the_slip_stands_alone(counter: Counter) -> None:
    paid = await counter.paid()

    def answer(_: str) -> Json:
        counter.backend.checks.extend([answers(500)] * 20)
        return receipt(paid)

    told = await ask(counter, answer)
    assert told.entry is not None
    assert "The backend does not tell." in told.entry.words
    assert told.known is not None
