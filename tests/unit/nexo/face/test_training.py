"""Training: everything answers, and nothing happens."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.face.lanes import (
    SALE,
    Sandbox,
    authorised,
    ended,
    lines_of,
    log_in,
    payment,
    poi_id_of,
    response_in,
    sandbox_in,
    words,
)
from tillwire.core.sessions import MOST_SESSIONS
from tillwire.dialects.nexo.face.logins import Login

TRAINING = Login(training=True)
FOLIO = {"SaleReferenceID": "FOLIO-1"}
LOGIN = {
    "DateTime": "2026-11-20T08:30:00+01:00",
    "SaleSoftware": {
        "ProviderIdentification": "Hollow Creek",
        "ApplicationName": "TillKit",
        "SoftwareVersion": "0.4.1",
    },
    "OperatorLanguage": "en",
}


@virtual()
async def test_a_training_payment_is_approved_and_reaches_nobody(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await log_in(sandbox.shop.engine, lane, TRAINING)
        paid = await lane.pay("10.40", amounts={"TipAmount": Decimal("0.40")})
        assert ended(paid) == ("Success", None), "whatever the amount ends in"
        assert paid["SaleData"] == {"SaleTransactionID": SALE}
        assert paid["PaymentResult"]["AmountsResp"] == {
            "Currency": "EUR",
            "AuthorizedAmount": Decimal("10.40"),
            "TipAmount": Decimal("0.40"),
        }
        for receipt in paid["PaymentReceipt"]:
            assert lines_of(receipt)[0] == "*** TRAINING ***"
        assert "POIReconciliationID" not in paid["POIData"], "it counts nowhere"
        assert len(poi_id_of(paid)) <= 35
        await _nothing_happened(sandbox)


async def _nothing_happened(sandbox: Sandbox) -> None:
    assert await sandbox.charged() == []
    assert await sandbox.shop.journal.read(lambda reader: reader.newest_transactions(10)) == []
    assert (await sandbox.shop.engine.open_totals("t1")).rows == ()


@virtual()
async def test_training_does_not_end_because_many_others_log_in(tmp_path: Path) -> None:
    """Who trains must never charge a card because a session was forgotten."""
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await lane.send("Login", {**LOGIN, "TrainingModeFlag": True})
        for number in range(MOST_SESSIONS + 1):
            answer = await sandbox.lane(f"LANE-{number + 100}").send("Login", LOGIN)
            assert ended(response_in(answer, "Login")) == ("Success", None)
        assert lines_of((await lane.pay())["PaymentReceipt"][0])[0] == "*** TRAINING ***"
        await _nothing_happened(sandbox)


@virtual()
async def test_training_has_all_that_follows_a_payment(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await log_in(sandbox.shop.engine, lane, TRAINING)
        original = poi_id_of(await lane.pay("20.00"))
        refund = await lane.pay("5.00", kind="Refund", original=original)
        assert (ended(refund), authorised(refund)) == (("Success", None), Decimal(5))
        too_much = await lane.pay("20.01", kind="Refund", original=original)
        assert ended(too_much) == ("Failure", "NotAllowed")
        undone = await lane.reverse(original)
        assert (ended(undone), undone["ReversedAmount"]) == (("Success", None), Decimal(20))
        part = await lane.reverse(original, "3.00")
        assert part["ReversedAmount"] == Decimal(3)
        first = await lane.pay("150.00", kind="FirstReservation", sale=FOLIO)
        assert ended(first) == ("Success", None)
        raised = await lane.pay("180.00", kind="UpdateReservation", sale=FOLIO)
        assert authorised(raised) == Decimal(180)
        done = await lane.pay("170.00", kind="Completion", original=poi_id_of(first))
        assert authorised(done) == Decimal(170)
        await _nothing_happened(sandbox)


@virtual()
async def test_a_training_payment_can_be_asked_for(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        await log_in(sandbox.shop.engine, lane, TRAINING)
        paid = await lane.pay("10.00")
        status = await lane.status("1")
        body = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert body["PaymentResponse"] == paid
        assert ended(await lane.pay("10.00", header={"ServiceID": "1"}))[1] == "NotAllowed"


@pytest.mark.parametrize(
    ("special", "condition"),
    [
        ({"amount": "0"}, "MessageFormat"),
        ({"amount": "1.00", "kind": "Recurring"}, "UnavailableService"),
        ({"amount": "1.00", "kind": "Completion", "sale": FOLIO}, "NotFound"),
        ({"amount": "1.00", "kind": "Refund", "original": "P-1"}, "NotFound"),
    ],
)
def test_training_refuses_what_would_be_refused(
    tmp_path: Path, special: dict[str, object], condition: str
) -> None:
    @virtual()
    async def scenario() -> None:
        async with sandbox_in(tmp_path) as sandbox:
            lane = sandbox.lane()
            await log_in(sandbox.shop.engine, lane, TRAINING)
            answer = await lane.pay(**special)  # type: ignore[arg-type]
            assert ended(answer) == ("Failure", condition)

    scenario()


@virtual()
async def test_training_and_real_payments_do_not_meet(tmp_path: Path) -> None:
    async with sandbox_in(tmp_path) as sandbox:
        lane = sandbox.lane()
        real = poi_id_of(await lane.pay("10.00"))
        await log_in(sandbox.shop.engine, lane, TRAINING)
        pretended = poi_id_of(await lane.pay("10.00"))
        refused = await lane.reverse(real)
        assert ended(refused) == ("Failure", "NotFound")
        assert "training" in words(refused)
        assert ended(await lane.pay("1.00", kind="Refund", original=real))[1] == "NotFound"
        await log_in(sandbox.shop.engine, lane, Login())
        assert ended(await lane.reverse(pretended)) == ("Failure", "NotFound")
        assert ended(await lane.pay("1.00", kind="Refund", original=pretended))[1] == "NotFound"
        reserved = await lane.pay("10.00", kind="FirstReservation", sale=FOLIO)
        await log_in(sandbox.shop.engine, lane, TRAINING)
        assert ended(await lane.pay("9.00", kind="Completion", sale=FOLIO))[1] == "NotFound"
        await lane.pay("77.00", kind="FirstReservation", sale=FOLIO)
        await log_in(sandbox.shop.engine, lane, Login())
        done = await lane.pay("9.00", kind="Completion", sale=FOLIO)
        assert ended(done) == ("Success", None), "of the real one"
        known = await sandbox.shop.engine.find(poi_id_of(done))
        assert known is not None
        assert known.original_id == poi_id_of(reserved)


@virtual()
async def test_training_goes_on_beside_a_real_payment(tmp_path: Path) -> None:
    """It takes nothing of the terminal."""
    async with sandbox_in(tmp_path) as sandbox:
        trainee = sandbox.lane("LANE-08")
        await log_in(sandbox.shop.engine, trainee, TRAINING)
        paying = sandbox.lane().begin("Payment", payment("10.49"))
        assert ended(await trainee.pay("5.00")) == ("Success", None)
        assert ended(response_in(await paying)) == ("Success", None)
        assert await sandbox.charged() == [("PURCHASE", 1049, True)]
