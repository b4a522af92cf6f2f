"""A till that speaks nexo over TCP and outlives the gateway, on the standard library alone.

It does what the protocol tells it: a ServiceID for each payment, written down before a byte leaves;
after a lost answer it never pays again, but asks TransactionStatus until that says something
definite. Any method may raise one of `people.GONE` when the gateway dies under it.
"""

from __future__ import annotations

import json
import socket
import time
from decimal import Decimal
from typing import Any, Final

from tests.crash.people import Sale
from tests.kit.sandbox_process import Card
from tests.kit.shop_front import OPEN

SALE_ID: Final = "LANE-7"
STAMP: Final = "2026-03-14T10:20:00+01:00"
ANSWERS_WITHIN: Final = 3.0
"""Seconds that the till waits for a payment's answer before it asks for it."""
TOLD_WITHIN: Final = 30.0
"""Seconds that an answer to a question may take on a busy machine."""
PAUSE: Final = 0.1
"""Seconds between two questions."""
SETTLES_WITHIN: Final = 40.0
_READS_AS: Final = {
    ("Success", None): ("CLEARED", "APPROVED"),
    ("Failure", "Refusal"): ("CANCELLED", "DECLINED"),
    ("Failure", "Cancel"): ("CANCELLED", None),
    ("Failure", "Aborted"): ("CANCELLED", None),
    ("Failure", "UnavailableDevice"): ("CANCELLED", None),
}
"""Result and ErrorCondition -> status and result, in the words of the other till."""

Json = Any


class CarefulNexoTill:
    """The till at the sandbox's terminal for nexo."""

    def __init__(self, card: Card) -> None:
        nexo = card["nexo"]
        self._address = nexo["tcp"]["host"], nexo["tcp"]["port"]
        self._poi_id = nexo["poi_id"]

    def settle(self, sale: Sale, seconds: float = SETTLES_WITHIN) -> None:
        """Pay, or take up what was begun, and find out how it ends within so many seconds."""
        end = time.monotonic() + seconds
        while not sale.is_over:
            if not sale.service:
                self._pay(sale)
            elif not self._ask(sale):
                sale.service = ""  # it was never there: it may be sent under a number of its own
            elif not sale.is_over:
                if time.monotonic() > end:
                    return
                time.sleep(PAUSE)

    def _pay(self, sale: Sale) -> None:
        sale.tries += 1
        sale.service = f"{sale.reference[:6]}{sale.tries}"
        named = {"TransactionID": sale.reference, "TimeStamp": STAMP}
        data = {"SaleTransactionID": named}
        amount = Decimal(sale.minor) / 100
        if sale.original is None:
            category = "Payment"
            amounts = {"Currency": "EUR", "RequestedAmount": float(amount)}
            body = {"SaleData": data, "PaymentTransaction": {"AmountsReq": amounts}}
        else:
            category = "Reversal"
            original = {"TransactionID": sale.original, "TimeStamp": STAMP}
            body = {
                "SaleData": data,
                "OriginalPOITransaction": {"POITransactionID": original},
                "ReversalReason": "MerchantCancel",
            }
        answer = self._exchange(category, sale.service, body)
        if answer is not None:
            self._hear(sale, answer)

    def _ask(self, sale: Sale) -> bool:
        """Ask what became of it; whether the terminal knows it."""
        sale.tries += 1
        category = "Payment" if sale.original is None else "Reversal"
        reference = {"MessageCategory": category, "ServiceID": sale.service}
        body = {"MessageReference": reference}
        answer = self._exchange("TransactionStatus", f"q{sale.tries}", body, TOLD_WITHIN)
        assert answer is not None, "a question is answered"
        response = answer["Response"]
        if response["Result"] == "Success":
            repeated = answer["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            self._hear(sale, repeated[f"{category}Response"])
            return True
        if response["ErrorCondition"] == "NotFound":
            return False
        assert response["ErrorCondition"] == "InProgress", response
        sale.heard.append((OPEN, None))
        return True

    def _hear(self, sale: Sale, body: Json) -> None:
        response = body["Response"]
        result = response["Result"], response.get("ErrorCondition")
        named = body.get("POIData", {}).get("POITransactionID", {}).get("TransactionID")
        assert named is not None, f"it has no transaction: {body}"
        assert sale.id in (None, named), "a sale keeps its id"
        sale.id = named
        sale.heard.append(_READS_AS[result])
        if result[0] == "Success" and sale.original is None:
            paid = body["PaymentResult"]["AmountsResp"]["AuthorizedAmount"]
            assert round(paid * 100) == sale.minor

    def _exchange(
        self, category: str, number: str, body: Json, within: float = ANSWERS_WITHIN
    ) -> Json | None:
        """The body of the response; None when there is none within so many seconds."""
        header = {
            "ProtocolVersion": "3.1",
            "MessageClass": "Service",
            "MessageCategory": category,
            "MessageType": "Request",
            "ServiceID": number,
            "SaleID": SALE_ID,
            "POIID": self._poi_id,
        }
        message = {"SaleToPOIRequest": {"MessageHeader": header, f"{category}Request": body}}
        octets = json.dumps(message).encode()
        with socket.create_connection(self._address, within) as line:
            line.sendall(len(octets).to_bytes(4, "big") + octets)
            try:
                while True:
                    heard = json.loads(_octets(line, int.from_bytes(_octets(line, 4), "big")))
                    response: Json = heard.get("SaleToPOIResponse", {}).get(f"{category}Response")
                    if response is not None:
                        return response
            except TimeoutError:
                return None


def _octets(line: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        piece = line.recv(count - len(octets))
        if not piece:
            raise ConnectionResetError("the gateway has closed the connection")
        octets += piece
    return octets
