"""Businesses, stores, devices and TIDs as an application finds them."""

from __future__ import annotations

from pathlib import Path

from tests.kit.runner import virtual
from tests.kit.shop import STORE, VIRTUAL
from tests.unit.paymentbridge.face.cloud import (
    BUSINESS,
    DEVICE,
    LANE,
    OTHER_BUSINESS,
    OTHER_STORE,
    READER,
    SECOND_DEVICE,
    STRANGER,
    cloud,
)


@virtual()
async def test_a_business_has_its_stores_and_these_their_devices(tmp_path: Path) -> None:
    async with cloud(tmp_path, purchase_action="AUTHORIZE") as there:
        reader = await there.application(READER)
        business = await reader.get(f"/businesses/{BUSINESS}")
        assert (business["id"], business["legalName"]) == (BUSINESS, "The Merchant")
        assert (business["type"], business["status"]) == ("MERCHANT", "ACTIVATED")
        (store,) = business["stores"]
        assert (store["id"], store["displayName"], store["currency"]) == (
            STORE,
            "Corner Shop",
            "EUR",
        )
        assert store["status"] == "ACTIVE"
        assert store["attributes"] == {"purchaseAction": "AUTHORIZE"}
        assert store["address"]["countryCode"] == "NLD"
        devices = {each["externalTerminalId"]: each for each in store["storeDevices"]}
        assert set(devices) == {*(each.tid for each in VIRTUAL), "30360001"}
        mine = devices[LANE.tid]
        assert (mine["deviceId"], mine["serialNumber"]) == (DEVICE, LANE.serial)
        assert (mine["status"], mine["type"], mine["storeId"]) == ("ACTIVATED", "TERMINAL", STORE)
        for stamp in ("createdAt", "activatedAt", "updatedAt"):
            assert mine[stamp].endswith("Z")


@virtual()
async def test_the_ways_to_the_same_stores_agree(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        reader = await there.application(READER)
        business = await reader.get(f"/businesses/{BUSINESS.upper()}/")
        assert await reader.get(f"/businesses?storeDeviceId={DEVICE}") == business
        stores = await reader.get(f"/businesses/{BUSINESS}/stores")
        assert stores == business["stores"]
        assert await reader.get(f"/businesses/{BUSINESS}/stores/{STORE}") == stores[0]
        assert await reader.get(f"/stores/{STORE}") == stores[0]
        devices = await reader.get(f"/businesses/{BUSINESS}/stores/{STORE}/devices")
        assert devices == stores[0]["storeDevices"]


@virtual()
async def test_tids_are_found_by_what_is_known_of_them(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        reader = await there.application(READER)
        everything = await reader.get("/terminal-ids")
        assert len(everything) == 4
        (record,) = await reader.get(f"/terminal-ids?tid={LANE.tid}")
        assert (record["tid"], record["deviceId"], record["status"]) == (
            LANE.tid,
            DEVICE,
            "ACTIVATED",
        )
        assert (record["store"], record["businessId"]) == ({"id": STORE}, BUSINESS)
        for query in (
            f"deviceId={DEVICE}",
            f"storeId={STORE}&tid={LANE.tid}&businessId={BUSINESS}",
        ):
            assert await reader.get(f"/terminal-ids?{query}") == [record]
        for query in (
            f"deviceId={SECOND_DEVICE}&tid={LANE.tid}",
            f"storeId={OTHER_STORE}",
            "tid=1",
        ):
            assert await reader.get(f"/terminal-ids?{query}") == []
        assert await reader.get(f"/terminal-ids/{record['id']}") == record


@virtual()
async def test_what_is_not_there_or_somebody_elses_is_404(tmp_path: Path) -> None:
    async with cloud(tmp_path) as there:
        reader, stranger = await there.application(READER), await there.application(STRANGER)
        record = (await reader.get(f"/terminal-ids?tid={LANE.tid}"))[0]["id"]
        assert await stranger.get("/terminal-ids") == []
        for caller, path, code in (
            (reader, f"/businesses/{OTHER_BUSINESS}", "BUSINESS_NOT_FOUND"),
            (reader, f"/businesses/{OTHER_BUSINESS}/stores", "BUSINESS_NOT_FOUND"),
            (reader, f"/businesses/{BUSINESS}/stores/{OTHER_STORE}", "RESOURCE_NOT_FOUND"),
            (reader, f"/stores/{OTHER_STORE}", "RESOURCE_NOT_FOUND"),
            (reader, "/businesses/nonsense", "BUSINESS_NOT_FOUND"),
            (reader, "/businesses?storeDeviceId=urn:tid:none", "BUSINESS_NOT_FOUND"),
            (stranger, f"/businesses?storeDeviceId={DEVICE}", "BUSINESS_NOT_FOUND"),
            (stranger, f"/stores/{STORE}", "RESOURCE_NOT_FOUND"),
            (stranger, f"/terminal-ids/{record}", "RESOURCE_NOT_FOUND"),
            (reader, "/terminal-ids/none", "RESOURCE_NOT_FOUND"),
        ):
            answer = await caller.ask("GET", path)
            assert (answer.status, answer.code) == (404, code), path
        answer = await reader.ask("GET", "/businesses")
        assert (answer.status, answer.code) == (400, "MISSING_PARAMETER")


@virtual()
async def test_paths_and_methods_that_are_not_there_say_so_in_the_vendors_body(
    tmp_path: Path,
) -> None:
    async with cloud(tmp_path) as there:
        reader = await there.application(READER)
        answer = await reader.ask("GET", f"/businesses/{BUSINESS}/orders")
        assert (answer.status, answer.code) == (404, "INVALID_URL_PATTERN")
        answer = await reader.ask("DELETE", f"/businesses/{BUSINESS}")
        assert (answer.status, answer.code) == (405, "INVALID_URL_PATTERN")
        assert answer.headers["allow"] == "GET"
        answer = await reader.ask("POST", "/hooks", b"x" * 70_000)
        assert (answer.status, answer.code) == (413, "INVALID_REQUEST")
        answer = await reader.ask("POST", "/hooks", b"a=b", headers={"Content-Type": "text/plain"})
        assert (answer.status, answer.code) == (415, "INVALID_REQUEST")
