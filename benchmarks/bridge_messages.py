"""How long Payment Bridge takes for one message or one token."""

from __future__ import annotations

from typing import Final

from benchmarks.messages import microseconds
from tillwire.clock import SystemClock
from tillwire.dialects.paymentbridge.wire import bridge, envelope, objects, reading, tokens
from tillwire.dialects.paymentbridge.wire.bridge import Action, BridgeOrder
from tillwire.dialects.paymentbridge.wire.envelope import CloudMessage
from tillwire.estate.applications import SHORTEST_KEY, new_application, new_key_pair

_NOW: Final = 1_795_000_000
_HOST: Final = "https://services-eu.poynt.net"
_UUID: Final = "469e957c-57a7-4c2f-9a5c-0d3c1f0a1b2c"
_DEVICE: Final = f"urn:tid:{_UUID}"
_AMOUNTS: Final = {"transactionAmount": 1250, "orderAmount": 1250, "tipAmount": 0}
_LAST: Final = {
    "referenceId": _UUID,
    "status": "PROCESSED",
    "amount": 1250,
    "currency": "EUR",
    "transactions": [
        {
            "id": _UUID,
            "createdAt": "2026-11-21T09:00:00Z",
            "updatedAt": "2026-11-21T09:00:07Z",
            "action": "SALE",
            "status": "CAPTURED",
            "authOnly": False,
            "voided": False,
            "approvalCode": "123456",
            "amounts": {**_AMOUNTS, "currency": "EUR"},
            "context": {"businessId": _UUID, "storeId": _UUID, "storeDeviceId": _DEVICE},
            "fundingSource": {
                "type": "CREDIT_DEBIT",
                "card": {"type": "VISA", "numberFirst6": "411111", "numberLast4": "1111"},
                "entryDetails": {"entryMode": "CONTACTLESS_INTEGRATED_CIRCUIT_CARD"},
            },
            "processorResponse": {"status": "Successful", "statusCode": "00"},
            "references": [{"type": "CUSTOM", "customType": "referenceId", "id": _UUID}],
        }
    ],
}


def measure() -> dict[str, float]:
    """Microseconds, by what is done."""
    order = BridgeOrder(
        action=Action.SALE,
        amount=1250,
        currency="EUR",
        reference=_UUID,
        callback_url="https://till.example/callbacks/Zk3m8Qw2",
    )
    message = envelope.encode(
        CloudMessage(
            business_id=_UUID, store_id=_UUID, device_id=_DEVICE, ttl=60, data=bridge.encode(order)
        )
    )
    last = reading.encode(_LAST)
    payment = objects.read_payment(last)
    private_key, public_key = (each.decode() for each in new_key_pair(SHORTEST_KEY))
    app = new_application("bench", "bench", public_key.encode(), SystemClock()).id
    assertion = tokens.make_assertion(app, private_key, audience=_HOST, now=_NOW, jti=_UUID)
    key = bytes(32)
    claims = tokens.AccessClaims(
        issuer=_HOST,
        application_id=app,
        audience=app,
        issued_at=_NOW,
        expires_at=_NOW + 86_400,
        token_id=_UUID,
    )
    token = tokens.make_access_token(claims, key)
    hosts = frozenset({_HOST})
    return {
        "read a cloud message and the order in it": microseconds(
            lambda: bridge.decode(envelope.decode(message).data)
        ),
        "write the last callback": microseconds(lambda: reading.encode(payment)),
        "read the last callback": microseconds(lambda: objects.read_payment(last)),
        "check an access token": microseconds(
            lambda: tokens.read_access_token(token, key, now=_NOW)
        ),
        "check an assertion (RS256)": microseconds(
            lambda: tokens.read_assertion(
                assertion, key_of=lambda _: public_key, audiences=hosts, now=_NOW
            )
        ),
        "make an access token": microseconds(lambda: tokens.make_access_token(claims, key)),
    }
