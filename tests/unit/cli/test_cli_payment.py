"""A purchase is started once, and what cannot be told is never called failed."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.runner import virtual
from tests.unit.cli.counter import TERMINAL, Bad, Gateway, reply
from tillwire.cli.payment import End, Ending, Order, Patience, Purchase
from tillwire.cli.till import Till
from tillwire.core.ports import HttpResponse
from tillwire.money import Money

REFERENCE = "till1-0001"


async def pay(gateway: Gateway, *, stops: tuple[float, ...] = (), limit: float = 300) -> Ending:
    """Pay 12.50 EUR; the person at the till presses Ctrl-C at these seconds."""
    order = Order(TERMINAL, Money(1250, "EUR"), REFERENCE)
    till = Till(gateway, "http://gateway/", "tw_secret")
    purchase = Purchase(till, order, Patience(limit=limit), lambda words: None)
    for seconds in stops:
        asyncio.get_running_loop().call_later(seconds, purchase.stop)
    return await purchase.run()


@virtual()
async def test_an_approved_card_is_paid() -> None:
    gateway = Gateway()
    ending = await pay(gateway)
    assert ending.end is End.APPROVED
    assert ending.sale is not None
    assert ending.sale.result == "APPROVED"
    (sale,) = gateway.sales.values()
    assert (sale["amount"], sale["merchant_order_reference"]) == (
        {"value": 12.5, "currency": "EUR"},
        REFERENCE,
    )


@virtual()
async def test_a_declined_card_is_not_paid() -> None:
    ending = await pay(Gateway(result="DECLINED"))
    assert (ending.end, ending.words) == (End.NOT_PAID, "Declined.")


@virtual()
async def test_a_cardholder_who_walks_away_has_not_paid() -> None:
    ending = await pay(Gateway(result=""))
    assert (ending.end, ending.words) == (
        End.NOT_PAID,
        "Cancelled. The card was not charged.",
    )


@virtual()
async def test_a_gateway_that_is_not_there_started_nothing() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(Bad.UNREACHABLE)
    assert (await pay(gateway)).end is End.NOT_REACHED
    assert gateway.calls["POST"] == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_order_that_is_refused_started_nothing(status: int) -> None:
    @virtual()
    async def scenario() -> None:
        gateway = Gateway()
        gateway.bad["POST"].append(reply(status, {"title": "No", "detail": "Because."}))
        ending = await pay(gateway)
        assert (ending.end, ending.words) == (
            End.REFUSED,
            f"Nothing was started. {status} No: Because.",
        )

    scenario()


@virtual()
async def test_what_is_not_found_is_told_with_what_to_look_at() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(reply(404, {"title": "Not Found", "detail": "No terminal."}))
    ending = await pay(gateway)
    assert ending.end is End.REFUSED
    assert ending.words.startswith("Nothing was started. 404 Not Found: No terminal. Look at the")


@virtual()
async def test_a_busy_terminal_is_told_in_the_gateways_words() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(reply(409, {"title": "Conflict", "detail": "It is blocked."}))
    ending = await pay(gateway)
    assert (ending.end, ending.words) == (
        End.NOT_PAID,
        "Nothing was started. 409 Conflict: It is blocked.",
    )


# --- lost replies ---------------------------------------------------------------------------


@virtual()
async def test_a_lost_reply_is_looked_up_and_nothing_is_started_twice() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(Bad.REPLY_LOST)
    ending = await pay(gateway)
    assert ending.end is End.APPROVED
    assert len(gateway.sales) == gateway.calls["POST"] == 1


@virtual()
async def test_what_never_arrived_is_started_again() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(Bad.LOST_ON_THE_WAY)
    ending = await pay(gateway)
    assert (ending.end, ending.words) == (End.APPROVED, "Approved.")
    assert (len(gateway.sales), gateway.calls["POST"]) == (1, 2)


@virtual()
async def test_after_a_second_loss_nothing_is_started_any_more() -> None:
    gateway = Gateway()
    gateway.bad["POST"].extend([Bad.LOST_ON_THE_WAY] * 5)
    ending = await pay(gateway)
    assert ending.end is End.OPEN
    assert f"Look for the reference {REFERENCE} before paying again" in ending.words
    assert gateway.calls["POST"] == 2


@virtual()
async def test_a_second_reply_that_is_lost_is_looked_up_too() -> None:
    gateway = Gateway()
    gateway.bad["POST"].extend([Bad.LOST_ON_THE_WAY, Bad.REPLY_LOST])
    assert (await pay(gateway)).end is End.APPROVED
    assert len(gateway.sales) == 1


@virtual()
async def test_an_unreachable_gateway_is_no_proof_for_what_was_sent_before() -> None:
    gateway = Gateway()
    gateway.bad["POST"].extend([Bad.LOST_ON_THE_WAY, Bad.UNREACHABLE])
    assert (await pay(gateway)).end is End.OPEN


@virtual()
async def test_a_gateway_that_cannot_be_asked_leaves_it_unknown() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(Bad.REPLY_LOST)
    gateway.bad["GET"].append(Bad.UNREACHABLE)
    ending = await pay(gateway)
    assert (ending.end, gateway.calls["POST"]) == (End.OPEN, 1)


@virtual()
async def test_a_start_that_arrives_late_is_reported() -> None:
    gateway = Gateway(card_after=90)
    gateway.bad["POST"].append(Bad.LATE)
    ending = await pay(gateway)
    assert ending.end is End.APPROVED
    assert ending.words.startswith("Approved. It was started twice: look at ")
    assert "2 (CREATED), too." in ending.words


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(502, [], b"<html>Bad gateway"),
        HttpResponse(504, [], b""),
        HttpResponse(200, [], b"<html>Welcome"),
    ],
)
def test_an_answer_of_somebody_in_between_is_a_lost_reply(answer: HttpResponse) -> None:
    @virtual()
    async def scenario() -> None:
        gateway = Gateway()
        gateway.bad["POST"].append(answer)
        assert (await pay(gateway)).end is End.APPROVED
        assert gateway.calls["POST"] == 2

    scenario()


@virtual()
async def test_a_server_that_fails_is_not_asked_again() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(reply(503, {"title": "Unavailable", "detail": "Disk full."}))
    ending = await pay(gateway)
    assert (ending.end, gateway.calls["POST"]) == (End.NOT_PAID, 1)
    assert "Disk full." in ending.words


@virtual()
async def test_polling_survives_lost_answers() -> None:
    gateway = Gateway()
    gateway.bad["GET"].extend([Bad.UNREACHABLE, Bad.REPLY_LOST, reply(500, {})])
    assert (await pay(gateway)).end is End.APPROVED


@virtual()
async def test_what_takes_too_long_is_still_open() -> None:
    ending = await pay(Gateway(card_after=1000), limit=60)
    assert ending.end is End.OPEN
    assert "Still open (time is up)" in ending.words
    assert ending.sale is not None


# --- Ctrl-C ---------------------------------------------------------------------------------


@virtual()
async def test_ctrl_c_cancels_what_has_not_begun() -> None:
    gateway = Gateway(card_after=100)
    ending = await pay(gateway, stops=(0.5,))
    assert (ending.end, gateway.calls["DELETE"]) == (End.NOT_PAID, 1)
    assert "not charged" in ending.words


@virtual()
async def test_ctrl_c_that_comes_too_late_waits_for_the_truth() -> None:
    gateway = Gateway()
    ending = await pay(gateway, stops=(2.0,))
    assert (ending.end, gateway.calls["DELETE"]) == (End.APPROVED, 1)


@virtual()
async def test_a_lost_cancellation_is_found_out() -> None:
    gateway = Gateway(card_after=100)
    gateway.bad["DELETE"].append(Bad.REPLY_LOST)
    assert (await pay(gateway, stops=(0.5,))).end is End.NOT_PAID


@virtual()
async def test_ctrl_c_twice_leaves_it_open_and_says_so() -> None:
    ending = await pay(Gateway(card_after=100), stops=(2.0, 3.0))
    assert ending.end is End.OPEN
    assert "may yet be paid" in ending.words


@virtual()
async def test_ctrl_c_while_it_is_looked_up_starts_nothing_more() -> None:
    gateway = Gateway()
    gateway.bad["POST"].append(Bad.LOST_ON_THE_WAY)
    ending = await pay(gateway, stops=(1.0,))
    assert (ending.end, gateway.calls["POST"]) == (End.OPEN, 1)
