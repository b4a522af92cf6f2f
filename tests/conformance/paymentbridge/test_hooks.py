"""Hooks: registered by the SDK, told of events in signed deliveries, and removed."""

from __future__ import annotations

import base64
import hmac
import json
import urllib.request

from tests.conformance.paymentbridge.application import Application, sale
from tests.conformance.paymentbridge.listening import Listener, listening

SECRET = "a secret of the application"


def test_a_hook_is_told_of_a_payment_with_a_signature(
    application: Application, listener: Listener
) -> None:
    bridge = application.bridge
    hook = application.call(
        "Hook",
        "create_hook",
        business_id=bridge["business_id"],
        delivery_url=listener.url("/hook"),
        secret=SECRET,
        event_types=["TRANSACTION_CAPTURED"],
    )
    assert hook.status == 201
    assert hook.json["active"] is True
    assert set(hook.json["secret"]) == {"*"}
    named = {"hook_id": hook.json["id"]}
    read = application.call("Hook", "get_hook", **named)
    assert (read.status, read.json) == (200, hook.json)
    listed = application.call("Hook", "get_hooks", business_id=bridge["business_id"])
    assert hook.json["id"] in json.dumps(listed.json)

    with listening() as callbacks:
        application.send(sale(1700, callbacks.url("/callback")))
        (paid,) = callbacks.until_final()[-1].json["transactions"]
    told = listener.next()
    signature = base64.b64encode(hmac.digest(SECRET.encode(), told.body, "sha1")).decode()
    assert told.headers["poynt-webhook-signature"] == signature
    event = told.json
    assert (event["eventType"], event["resource"]) == ("TRANSACTION_CAPTURED", "/transactions")
    assert (event["hookId"], event["resourceId"]) == (hook.json["id"], paid["id"])
    (link,) = event["links"]
    authorised = {"Authorization": f"Bearer {application.token()}", "Api-Version": "1.2"}
    request = urllib.request.Request(link["href"], headers=authorised)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.loads(answer.read())["id"] == paid["id"]

    assert application.call("Hook", "delete_hook", **named).status in (200, 204)
    assert application.call("Hook", "get_hook", **named).status == 404
