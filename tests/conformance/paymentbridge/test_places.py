"""Businesses, stores and their devices, as the SDK reads them."""

from __future__ import annotations

import uuid

from tests.conformance.paymentbridge.application import Application, Json


def the_device(application: Application, store: Json) -> Json:
    """The store's device of the card's TID."""
    tid = application.bridge["tid"]
    (found,) = [each for each in store["storeDevices"] if each["externalTerminalId"] == tid]
    return found


def test_the_business_has_its_store_with_the_card_s_terminal(application: Application) -> None:
    bridge = application.bridge
    told = application.call("Business", "get_business", business_id=bridge["business_id"])
    assert told.status == 200
    assert told.json["id"] == bridge["business_id"]
    (store,) = told.json["stores"]
    assert store["id"] == bridge["store_id"]
    device = the_device(application, store)
    assert (device["deviceId"], device["status"]) == (bridge["device_id"], "ACTIVATED")
    assert device["serialNumber"]
    assert device["activatedAt"].endswith("Z")


def test_a_device_leads_to_its_business(application: Application) -> None:
    bridge = application.bridge
    told = application.call("Business", "get_business_by_device_id", device_id=bridge["device_id"])
    assert (told.status, told.json["id"]) == (200, bridge["business_id"])


def test_the_store_is_read_alone(application: Application) -> None:
    bridge = application.bridge
    told = application.call(
        "Store", "get_store", business_id=bridge["business_id"], store_id=bridge["store_id"]
    )
    assert told.status == 200
    assert the_device(application, told.json)["deviceId"] == bridge["device_id"]


def test_there_is_no_such_business_or_store(application: Application) -> None:
    nobody = str(uuid.uuid4())
    told = application.call("Business", "get_business", business_id=nobody)
    assert (told.status, told.json["code"]) == (404, "BUSINESS_NOT_FOUND")
    assert told.json["httpStatus"] == 404
    bridge = application.bridge
    told = application.call(
        "Store", "get_store", business_id=bridge["business_id"], store_id=nobody
    )
    assert told.status == 404
