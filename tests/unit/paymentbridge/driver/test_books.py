"""What a cloud has on its books of one terminal: its store's list, with other terminals' rows, rows
that belong together, and all that goes wrong while it is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.scripted import Asked
from tests.kit.virtual_loop import virtual_loop
from tests.unit.paymentbridge.driver import cloud as there
from tests.unit.paymentbridge.driver.cloud import BUSINESS, NEW, OLD, STORE, TID, Json
from tests.unit.paymentbridge.driver.counter import LANE, Counter, at_a_counter, terminal
from tillwire.clock import Instant
from tillwire.core.entries import Entry, Lists
from tillwire.core.errands import AskLast, Show
from tillwire.core.model import State, Terms, TransactionType, Verdict
from tillwire.core.ports import Unit
from tillwire.dialects.paymentbridge.driver import books
from tillwire.dialects.paymentbridge.driver.orders import HANDLE
from tillwire.dialects.paymentbridge.wire import ids
from tillwire.dialects.paymentbridge.wire.fields import stamp
from tillwire.errors import PeerError, Unsupported

_T = TransactionType
DAY = 86_400
ELSEWHERE = "30359999"


async def told(counter: Counter, begin: int = 0, end: int | None = None) -> list[Entry]:
    """Oldest first, and in one second by our ids."""
    behind = counter.gateway.clock.now() + 1000 if end is None else end
    found = counter.gateway.engine.entries(LANE, Instant(begin), Instant(behind))
    entries = [each async for each in found]
    return sorted(entries, key=lambda each: (each.at or 0, each.transaction_id))


def context(**members: Any) -> Json:
    return {"businessId": BUSINESS, "storeId": STORE, **members}


def foreign(counter: Counter, minor: int = 500, **members: Any) -> Json:
    """What another till did in the store."""
    return counter.cloud.enter(
        **{
            "action": "SALE",
            "status": "CAPTURED",
            "amounts": {"transactionAmount": minor, "orderAmount": minor, "currency": "EUR"},
            "context": context(tid=TID),
            **members,
        }
    )


# --- ours -----------------------------------------------------------------------------------------


@at_a_counter()
async def test_a_sale_is_told_with_all_that_the_cloud_says(counter: Counter) -> None:
    assert counter.driver.capabilities.lists is Lists.WHOLE
    paid = await counter.pay(4250)
    (entry,) = await told(counter)
    assert entry.name == entry.transaction_id == paid.id
    assert (entry.type, entry.amount, entry.currency) == (_T.PURCHASE, 4250, "EUR")
    assert (entry.reference, entry.original, entry.words) == ("bill 7", "", "SALE CAPTURED")
    assert entry.verdict == "APPROVED"
    assert entry.agrees_with(paid)
    assert entry.outcome is not None
    assert (entry.outcome.authorisation_code, entry.outcome.stan) == ("9QX001", "000017")
    (row,) = counter.cloud.listed.values()
    assert entry.at is not None
    assert stamp(entry.at) == row["createdAt"]


@at_a_counter()
async def test_what_follows_a_sale_is_told_under_its_own_name(counter: Counter) -> None:
    sale = await counter.pay(1000)
    part = await counter.pay(300, _T.REFUND, original=sale)
    rest = await counter.pay(700, _T.REFUND, original=sale)
    credit = await counter.pay(50, _T.REFUND)
    of_sale, *backs = await told(counter)
    assert (of_sale.name, of_sale.verdict, of_sale.amount) == (sale.id, "APPROVED", 1000)
    assert [(each.name, each.type, each.amount, each.original) for each in backs] == [
        (part.id, _T.REFUND, 300, sale.id),
        (rest.id, _T.REFUND, 700, sale.id),
        (credit.id, _T.REFUND, 50, ""),
    ]


@pytest.mark.parametrize("status", ["PARTIALLY_REFUNDED", "REFUNDED"])
@at_a_counter()
async def test_a_sale_that_says_that_it_is_refunded_was_still_paid(
    counter: Counter, status: str
) -> None:
    sale = await counter.pay(1000)
    await counter.pay(300, _T.REFUND, original=sale)
    next(iter(counter.cloud.listed.values()))["status"] = status
    of_sale, back = await told(counter)
    assert (of_sale.verdict, of_sale.amount, of_sale.words) == ("APPROVED", 1000, f"SALE {status}")
    assert (back.amount, back.original) == (300, sale.id)


@pytest.mark.parametrize("way", ["rest", "bridge"])
@pytest.mark.parametrize("kind", [_T.PURCHASE, _T.PREAUTH])
def test_a_void_is_told_beside_what_it_took_back(way: str, kind: TransactionType) -> None:
    @at_a_counter(follow_ups=way)
    async def play(counter: Counter) -> None:
        sale = await counter.pay(1000, kind)
        back = await counter.pay(1000, _T.REVERSAL, original=sale)
        assert back.state is State.APPROVED
        of_sale, void = await told(counter)
        assert (of_sale.name, of_sale.verdict, of_sale.amount) == (sale.id, "REVERSED", 1000)
        assert (void.name, void.transaction_id, void.type) == (back.id, back.id, _T.REVERSAL)
        assert (void.verdict, void.amount, void.original) == ("APPROVED", 1000, sale.id)
        assert of_sale.at is not None
        assert void.at is not None
        assert of_sale.at < void.at or way == "rest"
        assert of_sale.agrees_with(await counter.now(sale))
        assert void.agrees_with(back)

    play()


@at_a_counter()
async def test_a_void_whose_answer_was_lost_is_told_as_done(counter: Counter) -> None:
    sale = await counter.pay(1000)
    counter.cloud.will("void", there.done_but_lost("void"))
    counter.cloud.will("transaction", *[there.answer(500)] * 400)
    back = await counter.lost(await counter.order(1000, _T.REVERSAL, original=sale))
    _, void = await told(counter)
    assert (void.transaction_id, void.verdict) == (back.id, "APPROVED")


@at_a_counter()
async def test_a_void_that_nobody_of_us_asked_for_is_told_under_a_name_of_its_own(
    counter: Counter,
) -> None:
    sale = await counter.pay(1000)
    (row,) = counter.cloud.listed.values()
    counter.cloud.void(row["id"])
    of_sale, void = await told(counter)
    if of_sale.type is _T.REVERSAL:
        of_sale, void = void, of_sale
    assert (of_sale.name, of_sale.verdict) == (sale.id, "REVERSED")
    assert (void.name, void.transaction_id) == (f"{row['id']} REVERSAL", "")
    assert (void.amount, void.original) == (1000, sale.id)


@at_a_counter()
async def test_the_void_of_yesterdays_sale_is_todays(counter: Counter) -> None:
    sale = await counter.pay(1000)
    await asyncio.sleep(DAY)
    begin = counter.gateway.clock.now()
    await asyncio.sleep(1)  # the cloud's times are whole seconds
    back = await counter.pay(1000, _T.REVERSAL, original=sale)
    assert [each.name for each in await told(counter, begin)] == [back.id]
    (yesterday,) = await told(counter, 0, begin)
    assert (yesterday.name, yesterday.verdict) == (sale.id, "REVERSED")


@at_a_counter()
async def test_what_came_to_nothing_before_it_was_paid_is_cancelled(counter: Counter) -> None:
    """The journal has never had it as paid, so it reads as the driver would read it."""
    counter.cloud.terminal = there.ends("PROCESSED", _voided)
    order = await counter.pay(1000)
    assert order.state is State.CANCELLED
    (entry,) = await told(counter)
    assert (entry.transaction_id, entry.verdict) == (order.id, "CANCELLED")
    assert entry.agrees_with(order)


def _voided(cloud: there.Cloud, order: there.Order) -> Json:
    return cloud.enter(**cloud.sale(order, status="VOIDED", voided=True))


# --- reservations ---------------------------------------------------------------------------------


@at_a_counter()
async def test_captures_have_rows_of_their_own_and_no_reference(counter: Counter) -> None:
    reserved = await counter.pay(4000, _T.PREAUTH)
    captures = [await counter.pay(minor, _T.CAPTURE, original=reserved) for minor in (1500, 500)]
    row, *_ = counter.cloud.listed.values()
    row["status"] = "PARTIALLY_CAPTURED"
    first, *rest = await told(counter)
    assert (first.name, first.type, first.amount) == (reserved.id, _T.PREAUTH, 4000)
    assert [(each.transaction_id, each.type, each.amount) for each in rest] == [
        (captures[0].id, _T.CAPTURE, 1500),
        (captures[1].id, _T.CAPTURE, 500),
    ]
    assert [each.original for each in rest] == [reserved.id, reserved.id]
    assert captures[0].outcome is not None
    assert rest[0].name == captures[0].outcome.handle[HANDLE], "our id is not told"


@at_a_counter()
async def test_a_capture_of_which_the_journal_knows_no_name_is_found_by_what_it_is_of(
    counter: Counter,
) -> None:
    reserved = await counter.pay(4000, _T.PREAUTH)
    counter.cloud.will("capture", there.done_but_lost("capture"))
    counter.cloud.will("list", *[there.answer(500)] * 400)
    capture = await counter.lost(await counter.order(1500, _T.CAPTURE, original=reserved))
    counter.cloud.script["list"].clear()
    _, entry = await told(counter)
    assert (entry.transaction_id, entry.verdict, entry.amount) == (capture.id, "APPROVED", 1500)


@pytest.mark.parametrize(("status", "amount"), [("CAPTURED", 1500), ("PARTIALLY_CAPTURED", None)])
@at_a_counter()
async def test_what_is_captured_in_the_row_of_its_reservation_is_told_apart(
    counter: Counter, status: str, amount: int | None
) -> None:
    reserved = await counter.pay(4000, _T.PREAUTH)
    (row,) = counter.cloud.listed.values()
    await asyncio.sleep(60)
    now = stamp(counter.gateway.clock.now())
    row.update(status=status, updatedAt=now)
    row["amounts"]["transactionAmount"] = 1500
    del row["processorResponse"]["approvedAmount"]
    first, capture = await told(counter)
    assert (first.name, first.verdict, first.amount) == (reserved.id, "APPROVED", None)
    assert (capture.type, capture.amount, capture.original) == (_T.CAPTURE, amount, reserved.id)
    assert (capture.transaction_id, stamp(capture.at or 0)) == ("", now)
    assert first.agrees_with(reserved)


@at_a_counter()
async def test_the_settlement_of_a_sale_is_no_capture(counter: Counter) -> None:
    """Where a store's sales are authorised first (`purchaseAction`), what settles them may be a
    child, on the same day or later."""

    def authorised(cloud: there.Cloud, order: there.Order) -> Json:
        return cloud.enter(
            **cloud.sale(order, action="AUTHORIZE", status="AUTHORIZED", authOnly=False)
        )

    counter.cloud.terminal = there.ends("PROCESSED", authorised)
    sale = await counter.pay(1000)
    assert sale.state is State.APPROVED
    (row,) = counter.cloud.listed.values()
    await asyncio.sleep(2 * DAY)
    begin = counter.gateway.clock.now()
    counter.cloud.enter(
        action="CAPTURE",
        status="CAPTURED",
        parentId=row["id"],
        amounts=row["amounts"],
        context=context(tid=TID),
    )
    (entry,) = await told(counter)
    assert (entry.name, entry.type, entry.amount) == (sale.id, _T.PURCHASE, 1000)
    assert await told(counter, begin) == []
    (before,) = await told(counter, 0, begin)
    assert before.name == sale.id


# --- rows that belong together --------------------------------------------------------------------


@at_a_counter()
async def test_tries_that_were_declined_are_of_the_payment_that_came_of_them(
    counter: Counter,
) -> None:
    def declined(cloud: there.Cloud, order: there.Order) -> Json:
        return cloud.enter(**cloud.sale(order, status="DECLINED", processorResponse={}))

    def paid(cloud: there.Cloud, order: there.Order) -> Json:
        return cloud.enter(**cloud.sale(order))

    counter.cloud.terminal = there.ends("PROCESSED", declined, paid)
    sale = await counter.pay(1000)
    (entry,) = await told(counter)
    assert (entry.name, entry.verdict, entry.amount) == (sale.id, "APPROVED", 1000)
    counter.cloud.terminal = there.ends("PROCESSED", declined)
    refused = await counter.pay(2000)
    _, entry = await told(counter)
    assert (entry.name, entry.verdict, entry.amount) == (refused.id, "DECLINED", 2000)
    assert entry.agrees_with(refused)


@at_a_counter()
async def test_what_was_paid_in_several_ways_is_one_payment(counter: Counter) -> None:
    def part(minor: int) -> Any:
        def pay(cloud: there.Cloud, order: there.Order) -> Json:
            made = cloud.sale(order, processorResponse={})
            made["amounts"] = {"transactionAmount": minor, "currency": "EUR"}
            return cloud.enter(**made)

        return pay

    counter.cloud.terminal = there.ends("PROCESSED", part(400), part(600))
    sale = await counter.pay(1000)
    assert sale.approved_amount == 1000
    (entry,) = await told(counter)
    assert (entry.name, entry.amount) == (sale.id, 1000)
    assert entry.agrees_with(sale)


@at_a_counter()
async def test_a_tip_and_a_part_are_told_as_they_moved(counter: Counter) -> None:
    def more(cloud: there.Cloud, order: there.Order) -> Json:
        made = cloud.sale(order, processorResponse={})
        made["amounts"] = {"transactionAmount": 1250, "tipAmount": 250, "currency": "EUR"}
        return cloud.enter(**made)

    def less(cloud: there.Cloud, order: there.Order) -> Json:
        return cloud.enter(**cloud.sale(order, processorResponse={"approvedAmount": 700}))

    counter.cloud.terminal = there.in_turn(
        there.ends("PROCESSED", more), there.ends("PROCESSED", less)
    )
    tipped = await counter.pay(1100, terms=Terms(tip=100))
    partly = await counter.pay(1000)
    first, second = await told(counter)
    assert (first.name, first.amount) == (tipped.id, 1250)
    assert first.outcome is not None
    assert first.outcome.tip == 150, "beyond what was agreed at the till"
    assert (second.name, second.amount) == (partly.id, 700)
    assert first.agrees_with(tipped)
    assert second.agrees_with(partly)


# --- whose it is ----------------------------------------------------------------------------------


@at_a_counter()
async def test_rows_of_other_terminals_and_of_nobody_are_left_out(counter: Counter) -> None:
    counter.cloud.devices.append(there.device("P61-9", externalTerminalId=ELSEWHERE, deviceId=NEW))
    here = [
        foreign(counter, 100),
        foreign(counter, 200, context=context(storeDeviceId=OLD)),
        foreign(counter, 300, context=context(storeDeviceId=OLD.upper(), tid="0")),
    ]
    foreign(counter, 400, context=context(tid=ELSEWHERE))
    foreign(counter, 500, context=context(storeDeviceId=NEW))
    foreign(counter, 600, context=context(storeDeviceId="urn:tid:nobody's"))
    foreign(counter, 700, context=context())
    found = await told(counter)
    assert sorted(each.name for each in found) == sorted(each["id"] for each in here)
    assert {each.transaction_id for each in found} == {""}
    assert {each.amount for each in found} == {100, 200, 300}


@at_a_counter()
async def test_after_a_swap_the_rows_of_both_devices_are_the_terminals(counter: Counter) -> None:
    """The old device stands at another lane by now: what it does there is that one's."""
    now = virtual_loop().clock.now()
    old = foreign(counter, 100, context=context(storeDeviceId=OLD))
    moved = stamp(now + 1_800_000)
    counter.cloud.devices = [
        there.device(status="REMOVED"),
        there.device("P61-2", deviceId=NEW, activatedAt=stamp(now)),
        there.device(externalTerminalId=ELSEWHERE, activatedAt=moved),
    ]
    await asyncio.sleep(3_600)
    new = foreign(counter, 200, context=context(storeDeviceId=NEW))
    foreign(counter, 300, context=context(storeDeviceId=OLD))
    assert [each.name for each in await told(counter)] == [old["id"], new["id"]]


@at_a_counter()
async def test_another_lane_of_ours_has_its_own(counter: Counter) -> None:
    other = terminal(counter._told, id="smartpos-2", tid=ELSEWHERE, serial="P61-9", model="P61B-2")

    def put(unit: Unit) -> None:
        unit.put(other)

    await counter.gateway.engine.change_estate(put)
    counter.cloud.devices.append(there.device("P61-9", externalTerminalId=ELSEWHERE, deviceId=NEW))
    mine = await counter.pay(100)
    theirs = await counter.pay(200, at=other.id)
    # What the cloud tells of the place is wrong: the journal knows better.
    for row in counter.cloud.listed.values():
        row["context"] = context(tid=TID)
    engine = counter.gateway.engine
    behind = Instant(counter.gateway.clock.now() + 1000)
    found = {
        lane: [each.name async for each in engine.entries(lane, Instant(0), behind)]
        for lane in (LANE, other.id)
    }
    assert found == {LANE: [mine.id], other.id: [theirs.id]}


@at_a_counter()
async def test_a_refund_without_a_place_is_where_its_sale_is(counter: Counter) -> None:
    here = foreign(counter, 1000)
    away = foreign(counter, 2000, context=context(tid=ELSEWHERE))
    await asyncio.sleep(3 * DAY)
    begin = counter.gateway.clock.now()
    backs = [
        foreign(counter, 10, action="REFUND", status="REFUNDED", parentId=each, context=context())
        for each in (here["id"], away["id"], counter.cloud.name())
    ]
    (entry,) = await told(counter, begin)
    assert (entry.name, entry.type, entry.original) == (backs[0]["id"], _T.REFUND, here["id"])


@pytest.mark.parametrize("apart", [3_600, 1])
@at_a_counter()
async def test_refunds_without_a_place_are_not_left_out_for_being_many(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, apart: int
) -> None:
    """Their sales are asked for one by one: of a shorter time each, or else it is said."""
    monkeypatch.setattr(books, "MOST_ORIGINALS", 2)
    sales = [foreign(counter, 1000) for _ in range(5)]
    await asyncio.sleep(3 * DAY)
    begin = counter.gateway.clock.now()
    backs = set()
    for sale in sales:
        refund = {"action": "REFUND", "status": "REFUNDED", "context": context()}
        backs.add(foreign(counter, 10, parentId=sale["id"], **refund)["id"])
        await asyncio.sleep(apart)
    if apart == 1:
        with pytest.raises(PeerError, match="follow others"):
            await told(counter, begin)
    else:
        assert {each.name for each in await told(counter, begin)} == backs


@at_a_counter()
async def test_what_a_lost_journal_asked_for_keeps_our_id(counter: Counter) -> None:
    lost = counter.gateway.clock.transaction_id()
    reference = [{"type": "CUSTOM", "customType": "referenceId", "id": ids.transaction_uuid(lost)}]
    foreign(counter, 100, references=reference)
    another = [{"type": "CUSTOM", "customType": "referenceId", "id": "till 3, 17"}]
    foreign(counter, 200, references=another)
    first, second = sorted(await told(counter), key=lambda each: each.amount or 0)
    assert (first.name, first.transaction_id) == (lost, "")
    assert (second.reference, second.transaction_id) == ("till 3, 17", "")


# --- what it may say --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind", "verdict", "words"),
    [
        ({"status": "CREATED"}, _T.PURCHASE, "UNKNOWN", "SALE CREATED: A transaction is CREATED."),
        ({"status": "HOLD"}, _T.PURCHASE, "UNKNOWN", "SALE HOLD: A transaction is HOLD."),
        ({"status": None}, _T.PURCHASE, "UNKNOWN", "SALE: A transaction is ?."),
        ({"action": "VERIFY", "status": "AUTHORIZED"}, None, "UNKNOWN", "VERIFY AUTHORIZED"),
        ({"action": "DONATE"}, None, "UNKNOWN", "DONATE CAPTURED"),
        ({"amounts": None}, _T.PURCHASE, "UNKNOWN", "SALE CAPTURED: A transaction has no amount."),
        ({"status": "DECLINED"}, _T.PURCHASE, "DECLINED", "SALE DECLINED"),
        ({"action": "AUTHORIZE", "authOnly": True, "status": "AUTHORIZED"}, _T.PREAUTH, "APPROVED",
         "AUTHORIZE AUTHORIZED"),
        ({"action": "AUTHORIZE", "authOnly": False}, _T.PURCHASE, "APPROVED",
         "AUTHORIZE CAPTURED"),
        ({"action": "OFFLINE_AUTHORIZE", "status": "AUTHORIZED"}, _T.PURCHASE, "APPROVED",
         "OFFLINE_AUTHORIZE AUTHORIZED"),
        ({"action": "VOID", "status": "DECLINED"}, _T.REVERSAL, "DECLINED", "VOID DECLINED"),
        ({"fundingSource": {"type": "CASH"}}, _T.PURCHASE, "APPROVED", "SALE CAPTURED CASH"),
        ({"processorResponse": {"status": "Failure"}}, _T.PURCHASE, "UNKNOWN",
         "SALE CAPTURED: A transaction is CAPTURED, and its host says failure."),
        ({"amounts": {"transactionAmount": 5, "currency": "ABC"}}, _T.PURCHASE, "UNKNOWN",
         "SALE CAPTURED"),
    ],
)  # fmt: skip
@at_a_counter()
async def test_every_word(
    counter: Counter,
    changes: Json,
    kind: TransactionType | None,
    verdict: str,
    words: str,
) -> None:
    foreign(counter, **changes)
    (entry,) = await told(counter)
    assert (entry.type, entry.verdict, entry.words) == (kind, verdict, words)
    assert entry.currency in ("EUR", "")
    if entry.outcome is not None and entry.outcome.verdict is Verdict.APPROVED:
        assert entry.amount == entry.outcome.approved_amount == 500


# --- reading the list -----------------------------------------------------------------------------


@at_a_counter()
async def test_each_is_of_one_time_and_of_no_other(counter: Counter) -> None:
    begin = counter.gateway.clock.now()
    names = set()
    for _ in range(20):
        names.add(foreign(counter)["id"])
        await asyncio.sleep(0.7)
    found: list[str] = []
    for first in range(begin - 1000, counter.gateway.clock.now() + 1000, 1300):
        found += [each.name for each in await told(counter, first, first + 1300)]
    assert sorted(found) == sorted(names)


@at_a_counter()
async def test_of_a_time_that_is_to_come_nobody_is_asked(counter: Counter) -> None:
    ahead = counter.gateway.clock.now() + 40 * DAY * 1000
    assert await told(counter, ahead, ahead + 1000) == []
    assert counter.cloud.of("list") == []


@at_a_counter()
async def test_one_without_a_time_is_told_once(counter: Counter) -> None:
    row = foreign(counter, createdAt=None, updatedAt=None)
    (entry,) = await told(counter)
    assert (entry.name, entry.at) == (row["id"], None)


@at_a_counter()
async def test_many_pages_are_one_list(counter: Counter) -> None:
    counter.cloud.page = 3
    names = [foreign(counter)["id"] for _ in range(20)]
    assert sorted(each.name for each in await told(counter)) == sorted(names)


@at_a_counter()
async def test_a_cloud_that_fails_between_pages_tells_nothing_of_that_time(
    counter: Counter,
) -> None:
    counter.cloud.page = 3
    for _ in range(8):
        foreign(counter)
    counter.cloud.will("list", there._list, there._list, there.answer(503))
    with pytest.raises(PeerError):
        await told(counter)
    assert len(await told(counter)) == 8, "it can be asked again"


@at_a_counter()
async def test_an_entry_that_cannot_be_read_is_told_behind_those_that_can(
    counter: Counter,
) -> None:
    good = foreign(counter)
    foreign(counter, amounts={"transactionAmount": "much"})
    foreign(counter)["id"] = None
    found = counter.driver.transactions(Instant(0), Instant(counter.gateway.clock.now() + 1000))
    assert (await anext(found)).name == good["id"]
    with pytest.raises(PeerError, match="2 of its list cannot be read"):
        await anext(found)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"transactions": 7}', b"\xff\xfe", b"{" * 5000]
)
@at_a_counter()
async def test_garbage_is_no_list(counter: Counter, body: bytes) -> None:
    counter.cloud.will("list", there.answer(200, body))
    with pytest.raises(PeerError):
        await told(counter)


@at_a_counter()
async def test_what_moves_up_while_the_list_is_read_is_not_lost(counter: Counter) -> None:
    """One that was under way vanishes behind the first page, so that the first of the second page
    moves to the first one."""
    counter.cloud.page = 2
    going = foreign(counter, status="CREATED", context=context(tid=ELSEWHERE))
    names = [foreign(counter)["id"] for _ in range(3)]

    async def vanish(cloud: there.Cloud, asked: Asked) -> Any:
        reply = await there._list(cloud, asked)
        cloud.listed.pop(going["id"], None)
        return reply

    counter.cloud.will("list", vanish)
    assert sorted(each.name for each in await told(counter)) == sorted(names)


@at_a_counter()
async def test_a_list_that_does_not_stand_still_is_not_believed(counter: Counter) -> None:
    counter.cloud.page = 2
    for _ in range(20):
        foreign(counter, status="CREATED")

    async def vanish(cloud: there.Cloud, asked: Asked) -> Any:
        reply = await there._list(cloud, asked)
        cloud.listed.pop(next(iter(cloud.listed)))
        return reply

    counter.cloud.will("list", *[vanish] * 20)
    with pytest.raises(PeerError, match="changes while it is read"):
        await told(counter)


@at_a_counter()
async def test_a_long_time_is_cut_until_each_list_has_an_end(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_PAGES", 5)
    counter.cloud.page = 1
    names = []
    for _ in range(4):
        names += [foreign(counter)["id"] for _ in range(3)]
        await asyncio.sleep(3_600)
    found = [each.name for each in await told(counter)]
    assert sorted(found) == sorted(names)


@at_a_counter()
async def test_a_list_without_an_end_is_given_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_PAGES", 5)

    async def endless(cloud: there.Cloud, asked: Asked) -> Any:
        offset = int(asked.query.get("startOffset", 0)) + 1
        link = {"rel": "next", "href": f"{asked.path}?startOffset={offset}"}
        return await there.answer(200, {"transactions": [], "links": [link]})(cloud, asked)

    counter.cloud.will("list", *[endless] * 500)
    with pytest.raises(PeerError, match="no end within"):
        await told(counter, counter.gateway.clock.now() - 600_000)
    assert len(counter.cloud.of("list")) == 25, "600 seconds were cut four times"


@at_a_counter()
async def test_no_more_parts_are_asked_for_than_are_allowed(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_SPANS", 3)
    monkeypatch.setattr(books, "MOST_PAGES", 5)
    counter.cloud.page = 1
    for _ in range(12):
        foreign(counter)
        await asyncio.sleep(60)
    with pytest.raises(PeerError, match="no end within"):
        await told(counter)


# --- the last one ---------------------------------------------------------------------------------


async def last(counter: Counter) -> Entry | None:
    found = await counter.gateway.engine.last_transaction(LANE)
    assert found.trouble == ""
    return found.entry


@at_a_counter()
async def test_the_last_transaction_is_the_newest(counter: Counter) -> None:
    assert await last(counter) is None
    row = foreign(counter, 100)
    foreign(counter, 200, context=context(tid=ELSEWHERE))
    found = await last(counter)
    assert found is not None
    assert found.name == row["id"]
    await asyncio.sleep(7_200)
    found = await last(counter)
    assert found is not None
    assert found.name == row["id"], "it is two hours old"
    sale = await counter.pay(300)
    found = await last(counter)
    assert found is not None
    assert found.transaction_id == sale.id
    back = await counter.pay(300, _T.REVERSAL, original=sale)
    found = await last(counter)
    assert found is not None
    assert found.transaction_id == back.id


@at_a_counter()
async def test_the_last_transaction_may_be_a_month_old(counter: Counter) -> None:
    """After a closed Sunday, or a winter in the drawer."""
    seen = []
    for days in (32, 30, 6, 1):
        moment = stamp(virtual_loop().clock.now() - days * DAY * 1000)
        foreign(counter, days, createdAt=moment, updatedAt=moment)
        found = await last(counter)
        seen.append(found and found.amount)
    assert seen == [None, 30, 6, 1]


@at_a_counter()
async def test_a_terminal_runs_no_other_errand(counter: Counter) -> None:
    with pytest.raises(Unsupported):
        await counter.driver.perform(Show("Hello"), lambda _: None)
    assert await counter.driver.perform(AskLast(), lambda _: None) is None
