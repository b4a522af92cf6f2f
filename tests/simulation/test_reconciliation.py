"""A day of a thousand sales with every ending, over a bad network; then the books are compared. The
report names exactly the differences that were put into them."""

from __future__ import annotations

import asyncio
import csv
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.kit import shop
from tests.kit.faults import seeded
from tests.kit.gateway import GatewayUnderTest
from tests.kit.machine import Machine
from tests.kit.messages import FaultyHttpClient, seeded_fates
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.simulation.agreement import check_agreement
from tests.simulation.till import FACE, Book, Sale, Till
from tillwire.clock import Instant, utc
from tillwire.core.estate_model import Terminal
from tillwire.core.model import State
from tillwire.reconcile import profiles
from tillwire.reconcile.facts import Window
from tillwire.reconcile.findings import findings
from tillwire.reconcile.journal_side import rows_of
from tillwire.reconcile.match import ACQUIRER, GATEWAY, TILL
from tillwire.reconcile.results import Kind, Result
from tillwire.reconcile.run import Report, Resolution, gateway_rows, nothing, reconcile
from tillwire.reconcile.sources import File

SALES: Final = 1000
RISK: Final = 0.05
NEVER_KNOWN: Final = 47
ENDINGS: Final = (*(each for each in range(40, 55) if each != NEVER_KNOWN), *[0] * 20)
SETTLED_AFTER: Final = 300.0
Row = dict[str, Any]
Files = tuple[list[Row], list[Row]]


def _prepare(loop: VirtualLoop) -> None:
    loop.network.faults = seeded(loop.random, risk=RISK)


class Day:
    """The shop's day: what its tills have in their books at its end."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.book = Book()

    async def sell(self, gateway: GatewayUnderTest) -> None:
        """Sell until the evening. The last sale at each terminal is one that no machine can tell
        about: until somebody does, it sells nothing more."""
        http = FaultyHttpClient(
            gateway.client(), seeded_fates(virtual_loop().random, risk=RISK / 2)
        )
        tills = [
            Till(http, gateway.url(FACE), self.book, each, repeats=True) for each in shop.VIRTUAL
        ]
        each_sells = [
            self._serve(till, range(number, SALES, len(tills))) for number, till in enumerate(tills)
        ]
        await asyncio.gather(*each_sells)
        await http.settle()
        await asyncio.sleep(SETTLED_AFTER)
        good = gateway.client()
        for sale in self.book.sales.values():
            calm = Till(good, gateway.url(FACE), self.book, _terminal(sale))
            if sale.id is None:
                await calm.look(sale)
            await calm.read(sale)

    async def _serve(self, till: Till, numbers: range) -> None:
        for number in numbers:
            ending = NEVER_KNOWN if number == numbers[-1] else self._dice.choice(ENDINGS)
            minor = self._dice.randint(1, 300) * 100 + ending
            paid = await till.pay(f"sale-{number}", minor)
            if self._dice.random() < 0.05:
                await till.cancel(paid)
            await till.follow(paid, 90)
            if paid.heard and paid.heard[-1].result == "APPROVED" and self._dice.random() < 0.1:
                back = await till.pay(
                    f"back-{number}", paid.minor // 2 + 1, type="REFUND", original=paid.id
                )
                await till.follow(back, 90)


def _till_row(sale: Sale, at: str) -> Row:
    heard = sale.heard[-1]
    statuses = {"CLEARED": "APPROVED", "CANCELLED": "CANCELLED"}
    return {
        "reference": sale.reference,
        "terminal": sale.terminal,
        "type": sale.type,
        "status": statuses.get(heard.status, "UNKNOWN"),
        "amount": f"{heard.minor // 100}.{heard.minor % 100:02d}",
        "currency": "EUR",
        "at": at,
    }


async def _files(gateway: GatewayUnderTest, book: Book) -> Files:
    """The till's export and the acquirer's file, as they are without a mistake."""
    now = utc(gateway.clock.now()).isoformat()
    till = [_till_row(sale, now) for sale in book.sales.values() if sale.heard]
    ledger = [
        {
            "terminal": entry.terminal,
            "type": entry.type.value,
            "amount": entry.amount,
            "currency": entry.currency,
            "reference": entry.reference,
            "approved": entry.approved,
            "at": utc(entry.at).isoformat(),
        }
        for entry in await gateway.world.ledger()
    ]
    return till, ledger


def _sources(folder: Path, files: Files) -> dict[str, File]:
    till, ledger = files
    with (folder / "till.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(till[0]))
        writer.writeheader()
        writer.writerows(till)
    (folder / "ledger.json").write_text(json.dumps(ledger), encoding="utf-8")
    own = profiles.load("tillwire")
    columns = {name: name for name in till[0]}
    return {
        TILL: File(folder / "till.csv", msgspec.structs.replace(own, columns=columns)),
        ACQUIRER: File(folder / "ledger.json", profiles.load("sandbox-ledger")),
    }


def _compare(
    gateway: GatewayUnderTest,
    folder: Path,
    files: Files,
    resolve: Callable[[list[Resolution]], set[str]] = nothing,
) -> Report:
    ours = gateway_rows(rows_of(gateway.transactions()))
    tomorrow = Instant(gateway.clock.now() + 86_400_000)
    window = Window(Instant(0), tomorrow, zone="Europe/Amsterdam")
    return reconcile(
        {GATEWAY: ours, **_sources(folder, files)}, window, resolve=resolve, folder=folder
    )


def _named(differences: list[Result]) -> set[tuple[str, str]]:
    return {(each.kind.value, each.first.texts["reference"]) for each in differences}


def _spoil(files: Files) -> set[tuple[str, str]]:
    """Put one mistake of each kind into both files; what the report must name."""
    till, ledger = files
    paid = [each for each in ledger if each["approved"] and each["type"] == "PURCHASE"]
    lost = [each for each in ledger if not each["approved"]]
    by_reference = {each["reference"]: each for each in till}
    a, b, c, d, e, f, g = (each["reference"] for each in paid[10:80:10])
    declined = lost[0]["reference"]
    till.remove(by_reference[a])
    by_reference[b]["amount"] = "0.01"
    by_reference[c]["status"] = "DECLINED"
    till.append(dict(by_reference[d]))
    till.append({**by_reference[d], "reference": "at-the-till-only", "amount": "7.00"})
    ledger.remove(next(each for each in ledger if each["reference"] == e))
    next(each for each in ledger if each["reference"] == f)["amount"] += 1
    next(each for each in ledger if each["reference"] == declined).update(approved=True, amount=1)
    ledger.append(dict(next(each for each in ledger if each["reference"] == g)))
    ledger.append({**ledger[0], "reference": "charged-elsewhere", "amount": 1, "approved": True})
    return {
        (Kind.MISSING_AT_TILL.value, a),
        (Kind.AMOUNT_DIFFERS.value, b),
        (Kind.STATUS_DIFFERS.value, c),
        (Kind.DUPLICATE.value, d),
        (Kind.MISSING_AT_GATEWAY.value, "at-the-till-only"),
        (Kind.MISSING_AT_ACQUIRER.value, e),
        (Kind.AMOUNT_DIFFERS.value, f),
        (Kind.STATUS_DIFFERS.value, declined),
        (Kind.DUPLICATE.value, g),
        (Kind.MISSING_AT_GATEWAY.value, "charged-elsewhere"),
    }


async def _live(folder: Path, gateway: GatewayUnderTest) -> int:
    day = Day(seed=7)
    await day.sell(gateway)
    await check_agreement(gateway, day.book)
    lost = {each.id for each in gateway.transactions() if each.state is State.UNKNOWN}
    assert len(lost) == len(shop.VIRTUAL)
    # What the acquirer settled is not UNKNOWN any more, and nothing else is different.
    known: list[Resolution] = []

    def note(found: list[Resolution]) -> set[str]:
        known.extend(found)
        return set()

    files = await _files(gateway, day.book)
    report = _compare(gateway, folder, files, note)
    assert set(report.resolvable) == lost
    assert {each.first.texts["transaction_id"] for each in report.differences} == lost
    for each in known:
        ended = await gateway.engine.resolve(each.transaction_id, each.outcome, "ledger.json")
        assert ended.state is State.APPROVED
    assert not await _again(gateway, known)
    for sale in day.book.sales.values():
        if sale.id in lost:
            till = Till(gateway.client(), gateway.url(FACE), day.book, _terminal(sale))
            await till.read(sale)
    await check_agreement(gateway, day.book)
    files = await _files(gateway, day.book)
    report = _compare(gateway, folder, files)
    assert report.agrees, _named(report.differences)
    # And now the mistakes.
    expected = _spoil(files)
    report = _compare(gateway, folder, files)
    assert _named(report.differences) == expected
    assert len(report.differences) == len(expected)
    await _kept_once(gateway, report, folder, files)
    return len(gateway.transactions())


def _terminal(sale: Sale) -> Terminal:
    return next(each for each in shop.VIRTUAL if each.name == sale.terminal)


async def _again(gateway: GatewayUnderTest, known: list[Resolution]) -> bool:
    """Whether telling the same once more changes anything."""
    before = gateway.transactions()
    for each in known:
        await gateway.engine.resolve(each.transaction_id, each.outcome, "ledger.json")
    return gateway.transactions() != before


async def _kept_once(gateway: GatewayUnderTest, report: Report, folder: Path, files: Files) -> None:
    """Every difference becomes a discrepancy, and comparing again opens none twice."""
    for expected in (len(report.differences), 0):
        found = findings(_compare(gateway, folder, files).differences, report.sources)
        opened = await gateway.journal.commit(
            lambda unit, found=found: [unit.report(each, gateway.clock.now()) for each in found]
        )
        assert sum(opened) == expected
    kept = gateway.journal.read_now(lambda reader: reader.discrepancies())
    assert len(kept) == len(report.differences)
    assert {each.kind for each in kept} == {each.kind.value for each in report.differences}


def test_the_report_of_a_bad_day_names_exactly_what_is_wrong(disk: Path, tmp_path: Path) -> None:
    life = Machine(disk, seed=7).live(partial(_live, tmp_path), prepare=_prepare)
    assert life.result is not None
    assert life.result >= SALES
