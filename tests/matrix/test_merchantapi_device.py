"""MerchantAPI x terminals that fetch, over real sockets: the same endings as of virtual terminals,
played by the test as such a terminal would meet them. What it has charged stands in its own book.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import OPEN, PolledTerminal, Till
from tests.matrix.endings import PURCHASES, Expected, check

CARD: Final = {
    "stan": "000481",
    "brand": "VISA",
    "card_last4": "0119",
    "application_id": "A0000000031010",
    "entry_mode": "CHIP",
    "verification": "PIN",
}
CONVERTED: Final = """\
Tillwire Corner Shop
Prinsengracht 100
1015 EA Amsterdam NL
Terminal TID Date Time
Brand VISA AID
Entry CHIP
Card ************0119
TOTAL          EUR {}
CURRENCY CONVERSION
APPROVED
Auth. code        123456
STAN              000481
{} COPY
"""
"""What a terminal prints by itself."""


class Cardholder:
    """A terminal with its cardholder and its book."""

    def __init__(self, terminal: PolledTerminal) -> None:
        self.terminal = terminal
        self.charged: list[int] = []

    def present(self, offer: Any) -> str:  # Any: JSON
        """The card is there."""
        assert not offer["resume"], "a card that was presented is not presented again"
        assert self.terminal.tell(offer["id"], "card_presented").status == 200
        found: str = offer["id"]
        return found

    def charge(self, offer: Any, minor: int | None = None) -> None:
        """The bank has said yes."""
        self.charged.append(offer["amount"]["minor"] if minor is None else minor)

    def approve(self, offer: Any, **knows: object) -> None:
        """Present, charge, tell."""
        sale = self.present(offer)
        self.charge(offer)
        self.tell_approved(sale, **knows)

    def tell_approved(self, sale: str, **knows: object) -> None:
        """Tell that the card was charged."""
        facts = {**CARD, "response_code": "00", "authorisation_code": "123456", **knows}
        answer = self.terminal.tell(sale, "approved", **facts)
        assert (answer.status, answer.json["state"]) == (200, "APPROVED"), answer

    def decline(self, offer: Any, code: str, reason: str) -> None:
        """The bank has said no."""
        sale = self.present(offer)
        facts = {**CARD, "response_code": code, "reason": reason}
        assert self.terminal.tell(sale, "declined", **facts).status == 200

    def cancel(self, offer: Any, reason: str) -> None:
        """It ends without a card."""
        assert self.terminal.tell(offer["id"], "cancelled", reason=reason).status == 200

    def lose_the_line(self, offer: Any) -> None:
        """Begin to tell the outcome, and be cut off in the middle of it."""
        place = urlsplit(self.terminal.url)
        assert place.port is not None
        with socket.create_connection((str(place.hostname), place.port)) as line:
            line.sendall(
                f"POST {place.path}/transactions/{offer['id']}/events HTTP/1.1\r\n"
                f"Host: {place.netloc}\r\nAuthorization: {self.terminal.headers['Authorization']}"
                '\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{"type": "app'
                "".encode()
            )

    def resume(self, offer: Any) -> str:
        """Come back: the same transaction is there, to be reported on and not charged."""
        again = self.terminal.fetch()
        assert (again["id"], again["resume"]) == (offer["id"], True)
        found: str = again["id"]
        return found


def plain(cardholder: Cardholder, offer: Any) -> None:
    cardholder.approve(offer)


def do_not_honour(cardholder: Cardholder, offer: Any) -> None:
    cardholder.decline(offer, "05", "Do not honour.")


def insufficient_funds(cardholder: Cardholder, offer: Any) -> None:
    cardholder.decline(offer, "51", "Insufficient funds.")


def expired_card(cardholder: Cardholder, offer: Any) -> None:
    cardholder.decline(offer, "54", "Expired card.")


def cancelled_there(cardholder: Cardholder, offer: Any) -> None:
    cardholder.cancel(offer, "Cancelled by the cardholder.")


def no_card(cardholder: Cardholder, offer: Any) -> None:
    cardholder.cancel(offer, "No card was presented in time.")


def half(cardholder: Cardholder, offer: Any) -> None:
    assert not offer["partial_allowed"], "this API cannot ask for it"
    cardholder.decline(offer, "51", "Insufficient funds for the whole amount.")


def answer_lost(cardholder: Cardholder, offer: Any) -> None:
    cardholder.present(offer)
    cardholder.charge(offer)
    cardholder.lose_the_line(offer)
    cardholder.tell_approved(cardholder.resume(offer))


def declined_and_lost(cardholder: Cardholder, offer: Any) -> None:
    cardholder.present(offer)
    cardholder.lose_the_line(offer)
    sale = cardholder.resume(offer)
    facts = {**CARD, "response_code": "05"}
    assert cardholder.terminal.tell(sale, "declined", **facts).status == 200


def told_twice(cardholder: Cardholder, offer: Any) -> None:
    cardholder.approve(offer)
    cardholder.tell_approved(offer["id"])


def signed(cardholder: Cardholder, offer: Any) -> None:
    cardholder.approve(offer, verification="SIGNATURE")


def converted(cardholder: Cardholder, offer: Any) -> None:
    major = Decimal(offer["amount"]["value"])
    cardholder.approve(
        offer,
        receipt=CONVERTED.format(major, "CARDHOLDER"),
        merchant_receipt=CONVERTED.format(major, "MERCHANT"),
    )


def tipped(cardholder: Cardholder, offer: Any) -> None:
    sale, asked = cardholder.present(offer), offer["amount"]["minor"]
    tip = asked // 10
    cardholder.charge(offer, asked + tip)
    cardholder.tell_approved(sale, tip=tip)


PLAYED: Final[dict[int, Callable[[Cardholder, Any], None]]] = {
    40: do_not_honour,
    41: insufficient_funds,
    42: expired_card,
    43: cancelled_there,
    44: no_card,
    45: half,
    46: answer_lost,
    48: told_twice,
    50: signed,
    51: converted,
    53: declined_and_lost,
    54: tipped,
}
"""How a terminal plays an ending; those of `PURCHASES` that are not here, plainly, or in a test
of their own."""
OF_THEIR_OWN: Final = {47, 49, 52}


@pytest.mark.parametrize("ending", [each for each in PURCHASES if each not in OF_THEIR_OWN])
def test_a_purchase_ends_as_the_terminal_tells(sandbox: SandboxProcess, ending: int) -> None:
    cardholder = Cardholder(PolledTerminal(sandbox.card))
    till = Till(sandbox.card, cardholder.terminal.name)
    sale = till.start(f"polled-{ending:02d}", 1000 + ending)
    offer = cardholder.terminal.fetch()
    assert (offer["id"], offer["amount"]["minor"]) == (sale, 1000 + ending)
    PLAYED.get(ending, plain)(cardholder, offer)
    told = till.read(sale)
    check(told, PURCHASES[ending])
    moved = PURCHASES[ending].moved
    assert cardholder.charged == ([moved] if moved else [])
    assert cardholder.terminal.poll().status == 204, "what has ended is not handed out again"
    assert till.look_up(f"polled-{ending:02d}") == [told]


def test_47_a_terminal_that_lost_its_memory_is_not_asked_again(sandbox: SandboxProcess) -> None:
    cardholder = Cardholder(PolledTerminal(sandbox.card, 1))
    till = Till(sandbox.card, cardholder.terminal.name)
    sale = till.start("forgotten", 1047)
    offer = cardholder.terminal.fetch(boot=1)
    cardholder.present(offer)
    cardholder.charge(offer)
    assert cardholder.terminal.poll(boot=2).status == 204, "it might charge the card once more"
    check(till.read(sale), PURCHASES[47])
    assert till.cancel(sale).status == 409
    assert till.ask("the next one", 1000).status == 409, "blocked until a person has decided"
    assert cardholder.charged == [PURCHASES[47].moved]


def test_49_a_slow_cardholder_leaves_the_sale_open_and_past_cancelling(
    sandbox: SandboxProcess,
) -> None:
    cardholder = Cardholder(PolledTerminal(sandbox.card))
    till = Till(sandbox.card, cardholder.terminal.name)
    sale = till.start("slow", 1049)
    offer = cardholder.terminal.fetch()
    assert till.read(sale)["status"] == OPEN
    assert till.cancel(sale).status == 409, "it is on the terminal already"
    cardholder.approve(offer)
    check(till.read(sale), PURCHASES[49])


def test_52_what_no_terminal_fetches_waits_until_it_is_cancelled(sandbox: SandboxProcess) -> None:
    terminal = PolledTerminal(sandbox.card)
    till = Till(sandbox.card, terminal.name)
    sale = till.start("nobody comes", 1052)
    assert till.read(sale)["status"] == OPEN
    assert till.cancel(sale).status == 204
    check(till.read(sale), PURCHASES[52])
    assert terminal.poll().status == 204


def test_a_newer_sale_takes_the_place_of_one_that_was_not_fetched(sandbox: SandboxProcess) -> None:
    cardholder = Cardholder(PolledTerminal(sandbox.card))
    till = Till(sandbox.card, cardholder.terminal.name)
    first = till.start("replaced", 1000)
    second = till.start("replacing", 2000)
    check(till.read(first), Expected("CANCELLED", None, None))
    offer = cardholder.terminal.fetch()
    assert offer["id"] == second
    third = till.start("behind it", 3000)
    assert till.read(third)["status"] == OPEN
    cardholder.approve(offer)
    offer = cardholder.terminal.fetch()
    assert offer["id"] == third
    cardholder.approve(offer)
    assert till.read(third)["result"] == "APPROVED"
    assert cardholder.charged == [2000, 3000]
