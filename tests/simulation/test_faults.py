"""Lost replies, doubled and late requests, connections cut at any octet: one sale, one charge."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.kit import shop
from tests.kit.faults import Connect, Faults, Flow, Noticed, scripted
from tests.kit.gateway import PORTS, GatewayUnderTest
from tests.kit.machine import Machine, Scenario
from tests.kit.messages import Fate, FaultyHttpClient, fates
from tests.kit.virtual_loop import VirtualLoop
from tests.simulation.agreement import check_agreement
from tests.simulation.till import FACE, Book, Sale, Till
from tillwire.core.model import State

REQUEST_OCTETS = 400
ANSWER_OCTETS = 700
"""Longer than any request and answer of these sales: a cut beyond the end never comes."""


def _on_the_first_connection(faults: Faults, loop: VirtualLoop) -> None:
    loop.network.faults = scripted({PORTS[FACE]: [faults]})


def _sale(book: Book, *, repeats: bool) -> Scenario[list[State]]:
    async def scenario(gateway: GatewayUnderTest) -> list[State]:
        till = Till(gateway.client(), gateway.url(FACE), book, shop.VIRTUAL[0], repeats=repeats)
        await till.follow(await till.pay("sale-1", 1000), 5)
        await check_agreement(gateway, book)
        return [each.state for each in gateway.transactions()]

    return scenario


@pytest.mark.parametrize("repeats", [False, True], ids=["looks", "repeats"])
@pytest.mark.parametrize("noticed", [Noticed.BOTH, Noticed.BY_NOBODY])
@pytest.mark.parametrize("stride", [11, pytest.param(3, marks=pytest.mark.long)])
def test_a_request_cut_at_any_octet_is_charged_once_or_not_at_all(
    disk: Path, stride: int, noticed: Noticed, repeats: bool
) -> None:
    ends = set()
    for octets in range(0, REQUEST_OCTETS, stride):
        book = Book()
        faults = Faults(to_server=Flow(cut_after=octets, noticed=noticed))
        life = Machine(disk / f"{octets}").live(
            _sale(book, repeats=repeats), prepare=partial(_on_the_first_connection, faults)
        )
        ends.add(tuple(life.result or ()))
    if repeats:
        assert ends == {(State.APPROVED,)}
    else:  # the till that looks finds nothing as long as the request did not arrive whole
        assert ends == {(), (State.APPROVED,)}


@pytest.mark.parametrize("repeats", [False, True], ids=["looks", "repeats"])
@pytest.mark.parametrize("noticed", [Noticed.BOTH, Noticed.BY_SERVER])
@pytest.mark.parametrize("stride", [17, pytest.param(5, marks=pytest.mark.long)])
def test_an_answer_cut_at_any_octet_is_found_again(
    disk: Path, stride: int, noticed: Noticed, repeats: bool
) -> None:
    for octets in range(0, ANSWER_OCTETS, stride):
        book = Book()
        faults = Faults(to_client=Flow(cut_after=octets, noticed=noticed))
        life = Machine(disk / f"{octets}").live(
            _sale(book, repeats=repeats), prepare=partial(_on_the_first_connection, faults)
        )
        assert life.result == [State.APPROVED]
        assert book.sales["sale-1"].heard[-1].result == "APPROVED"


@pytest.mark.parametrize("connect", [Connect.REFUSE, Connect.SILENCE])
def test_a_request_that_did_not_leave_is_simply_asked_again(disk: Path, connect: Connect) -> None:
    life = Machine(disk).live(
        _sale(Book(), repeats=False),
        prepare=partial(_on_the_first_connection, Faults(connect)),
    )
    assert life.result == [State.APPROVED]


def _with_fates(
    *script: Fate, minor: int = 1000, repeats: bool = True
) -> Scenario[tuple[Sale, list[State]]]:
    """A sale whose first requests meet these fates; the sale, and what the journal has of it."""

    async def scenario(gateway: GatewayUnderTest) -> tuple[Sale, list[State]]:
        book = Book()
        http = FaultyHttpClient(gateway.client(), fates(*script))
        till = Till(http, gateway.url(FACE), book, shop.VIRTUAL[0], repeats=repeats)
        sale = await till.pay("sale-1", minor)
        await till.follow(sale, 40)
        await http.settle()
        await check_agreement(gateway, book)
        return sale, [each.state for each in gateway.transactions()]

    return scenario


@pytest.mark.parametrize("later", [0.0, 0.05, 3.0, 60.0])
def test_a_doubled_request_with_an_idempotency_key_is_one_sale(disk: Path, later: float) -> None:
    life = Machine(disk).live(_with_fates(Fate(doubled_after=later)))
    assert life.result is not None
    assert life.result[1] == [State.APPROVED]


def test_a_doubled_request_without_a_key_is_two_sales_and_both_are_in_the_journal(
    disk: Path,
) -> None:
    life = Machine(disk).live(_with_fates(Fate(doubled_after=3.0), repeats=False))
    assert life.result is not None
    assert life.result[1] == [State.APPROVED, State.APPROVED]


def test_a_lost_answer_and_a_repeat_under_the_same_key_are_one_sale(disk: Path) -> None:
    lost = Fate(answer_lost=True)
    life = Machine(disk).live(_with_fates(lost, lost, Fate(answer_lost=True, doubled_after=1.0)))
    assert life.result is not None
    sale, states = life.result
    assert states == [State.APPROVED]
    assert sale.heard[-1].result == "APPROVED"


def test_a_repeat_that_comes_late_is_the_same_sale(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> list[State]:
        book = Book()
        # The first answer is lost, and the repeat arrives when everything is over.
        http = FaultyHttpClient(gateway.client(), fates(Fate(answer_lost=True), Fate(late=30.0)))
        till = Till(http, gateway.url(FACE), book, shop.VIRTUAL[0], repeats=True)
        await till.follow(await till.pay("sale-1", 1049), 65)
        await check_agreement(gateway, book)
        return [each.state for each in gateway.transactions()]

    assert Machine(disk).live(scenario).result == [State.APPROVED]


@pytest.mark.parametrize("later", [0.0, 0.05, 3.0])
def test_a_doubled_cancellation_cancels_once(disk: Path, later: float) -> None:
    async def scenario(gateway: GatewayUnderTest) -> tuple[list[int], list[State]]:
        book = Book()
        inner = gateway.client()
        sale = await Till(inner, gateway.url(FACE), book, shop.VIRTUAL[0]).pay("sale-1", 1049)
        http = FaultyHttpClient(inner, fates(Fate(doubled_after=later)))
        till = Till(http, gateway.url(FACE), book, shop.VIRTUAL[0])
        await till.cancel(sale)
        await http.settle()
        await till.cancel(sale)
        await till.follow(sale, 30)
        await check_agreement(gateway, book)
        return sale.deleted, [each.state for each in gateway.transactions()]

    deleted, states = Machine(disk).live(scenario).result or ([], [])
    assert states == [State.CANCELLED]
    assert deleted == [204, 409]
