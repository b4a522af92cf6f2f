"""A caller hears RECEIVED, STARTED and the whole Payment, each in the commit of its fact."""

from __future__ import annotations

from pathlib import Path

from tests.kit.runner import virtual
from tests.unit.paymentbridge.face.cloud import cloud


@virtual()
async def test_a_sale_is_told_in_three_callbacks(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        application = await there.application()
        order = application.order(amount=1234, tipAmount=100, orderId="o-1", notes="table 4")
        answer = await application.send(order)
        assert (answer.status, answer.body) == (202, b"")
        received, started, final = await there.receiver.until(3, order["referenceId"])
        assert received == {"referenceID": order["referenceId"], "status": "RECEIVED"}
        assert started == {"referenceID": order["referenceId"], "status": "STARTED"}
        assert final["status"] == "PROCESSED"
        assert (final["amount"], final["tipAmount"], final["currency"]) == (1234, 100, "EUR")
        (made,) = final["transactions"]
        assert (made["action"], made["status"]) == ("SALE", "CAPTURED")
        assert made["amounts"]["transactionAmount"] == 1334
        assert await there.charged() == [1334]
