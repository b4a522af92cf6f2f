"""Flat messages over HTTP: every resource, and every code of a POST and a poll."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateway import GatewayUnderTest
from tests.unit.nexo.bindings.lane import (
    FLAT,
    OTHER_POI,
    POI,
    HttpLane,
    Json,
    abort,
    diagnosis,
    enveloped,
    event_of,
    live,
    login,
    machine,
    opened,
    payment,
    request,
    result_of,
    service_of,
    status,
)
from tillwire.dialects.nexo.face.flat import RESOURCES

SLOW, LOST, APPROVED, DECLINED = 1049, 1047, 1000, 1040
"""Amounts whose ending makes the cardholder slow, or loses the outcome for good."""


def test_a_payment_is_accepted_and_polled_for(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        assert await lane.post("/payment", payment(APPROVED)) == (202, None)
        (last,) = await lane.polled("/payment")
        assert last[0] == 200
        assert "SaleToPOIResponse" not in last[1], "over HTTP, messages are flat"
        assert result_of(last[1]) == ("Success", "")
        assert service_of(last[1]) == "s1"
        assert (await lane.get("/payment"))[0] == 423, "the exchange is closed"

    live(disk, scenario)


def test_what_the_terminal_shows_comes_before_the_answer_each_message_once(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        assert (await lane.get("/payment"))[0] in (201, 204)
        *shown, last = await lane.polled("/payment")
        assert {code for code, _ in shown} <= {201, 206}
        devices = [body["MessageHeader"]["DeviceID"] for _, body in shown]
        assert devices
        assert len(set(devices)) == len(devices)
        assert all("DisplayRequest" in body for _, body in shown)
        assert last[0] == 200

    live(disk, scenario)


def test_a_till_that_polls_late_is_told_that_more_is_waiting(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> list[int]:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        await asyncio.sleep(60)
        return [code for code, _ in await lane.polled("/payment")]

    codes = live(disk, scenario)
    assert len(codes) > 2
    assert codes == [206] * (len(codes) - 1) + [200]


def test_a_display_with_nothing_behind_it_says_so(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> list[int]:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        await asyncio.sleep(1)
        return [(await lane.get("/payment"))[0], (await lane.get("/payment"))[0]]

    assert live(disk, scenario) == [201, 204]


def test_an_outcome_that_is_not_known_is_408_and_the_exchange_stays_open(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(LOST))
        await asyncio.sleep(59)
        while (answer := await lane.get("/payment"))[0] in (201, 206):
            pass
        assert answer == (204, None)
        await asyncio.sleep(2)
        for _ in range(2):
            code, told = await lane.get("/payment")
            assert code == 408
            assert "Do not pay again" in told["detail"]
        assert (await lane.post("/payment", payment(APPROVED, "s2")))[0] == 403
        code, told = await lane.post("/status", status("s1"))
        assert (code, result_of(told)) == (200, ("Failure", "InProgress"))

    live(disk, scenario, answer_within=60)


def test_a_second_payment_is_refused_while_one_is_under_way(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        for again in (payment(SLOW), payment(APPROVED, "s2"), payment(APPROVED, "s3", sale="B")):
            code, told = await lane.post("/payment", again)
            assert code == 403
            assert "nothing was declined" in told["detail"]
        reversal = request("Reversal", {}, "s4")
        assert (await lane.post("/reversal", reversal))[0] == 403, "the terminal is in use"
        assert (await lane.get("/reversal"))[0] == 423
        await lane.polled("/payment")
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_what_was_refused_is_not_done_when_a_copy_of_it_comes_later(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        assert (await lane.post("/payment", payment(SLOW)))[0] == 403, "it is being served"
        assert (await lane.post("/payment", payment(APPROVED, "s2")))[0] == 403
        _, found = await lane.post("/status", status("s2"))
        repeated = opened(found)["TransactionStatusResponse"]["RepeatedMessageResponse"]
        assert result_of(repeated["RepeatedResponseMessageBody"]) == ("Failure", "Busy")
        assert result_of((await lane.polled("/payment"))[-1][1]) == ("Success", "")
        assert (await lane.post("/payment", payment(APPROVED, "s2")))[0] == 202
        assert result_of((await lane.polled("/payment"))[-1][1]) == ("Failure", "NotAllowed")
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_an_abort_is_heard_while_the_payment_is_polled_for(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        await asyncio.sleep(1)
        assert await lane.post("/abort", abort("s1")) == (202, None)
        *_, last = await lane.polled("/payment")
        assert result_of(last[1]) == ("Failure", "Aborted")
        code, event = await lane.post("/abort", abort("s1", "a2"))
        assert (code, event_of(event)) == (202, "Completed")
        code, event = await lane.post("/abort", abort("s9", "a3"))
        assert (code, event_of(event)) == (202, "Reject")
        assert await gateway.charges() == {}

    live(disk, scenario)


def test_an_answer_that_nobody_fetched_gives_way_to_the_next_payment(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(APPROVED))
        await asyncio.sleep(3)
        assert (await lane.post("/payment", payment(DECLINED, "s2")))[0] == 202
        (last,) = await lane.polled("/payment")
        assert (service_of(last[1]), result_of(last[1])) == ("s2", ("Failure", "Refusal"))
        _, told = await lane.post("/status", status("s1"))
        assert result_of(told) == ("Success", "")

    live(disk, scenario)


def test_a_post_that_is_sent_again_after_a_lost_202_gets_its_own_answer(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(APPROVED))
        await asyncio.sleep(3)
        assert await lane.post("/payment", payment(APPROVED)) == (202, None)
        (last,) = await lane.polled("/payment")
        assert result_of(last[1]) == ("Success", "")
        assert len(await gateway.charges()) == 1

    live(disk, scenario)


def test_what_is_not_valid_is_accepted_and_answered_to_the_poll(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        wrong = payment(APPROVED)
        del wrong["PaymentRequest"]["PaymentTransaction"]["AmountsReq"]["Currency"]
        assert await lane.post("/payment", wrong) == (202, None)
        (last,) = await lane.polled("/payment")
        assert last[0] == 200
        assert result_of(last[1]) == ("Failure", "MessageFormat")
        told = last[1]["PaymentResponse"]["Response"]["AdditionalResponse"]
        assert told.startswith("At PaymentRequest.PaymentTransaction.AmountsReq, field Currency")
        code, told = await lane.post("/diagnosis", request("Diagnosis", {"AcquirerID": {}}))
        assert (code, result_of(told)) == (200, ("Failure", "MessageFormat"))

    live(disk, scenario)


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[]", b"\xff\xfe", b"{}", b'{"MessageHeader":{}}', b'{"a":' * 100_000],
)
@pytest.mark.parametrize("path", ["/payment", "/login", "/abort"])
def test_what_is_no_message_is_rejected_at_once(path: str, body: bytes, disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        code, event = await lane.post(path, body)
        assert (code, event_of(event)) == (400, "Reject")
        assert event["MessageHeader"]["POIID"] == "N/A"
        assert (await lane.get("/payment"))[0] == 423

    live(disk, scenario)


def test_a_message_for_another_resource_is_rejected_and_nothing_begins(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        code, event = await lane.post("/login", payment(APPROVED))
        assert (code, event_of(event)) == (400, "Reject")
        assert event["EventNotification"]["EventDetails"] == "This resource takes a LoginRequest."
        assert event["MessageHeader"]["ServiceID"] == "s1"
        response = payment(APPROVED)
        response["MessageHeader"]["MessageType"] = "Response"
        assert (await lane.post("/payment", response))[0] == 400
        assert await gateway.charges() == {}

    live(disk, scenario)


def test_the_resources_that_answer_at_once(disk: Path) -> None:
    show = {
        "DisplayOutput": [
            {
                "Device": "CustomerDisplay",
                "InfoQualify": "Display",
                "OutputContent": {"OutputFormat": "Text", "OutputText": [{"Text": "Welcome"}]},
            }
        ]
    }
    unseen = {"DisplayOutput": [{**show["DisplayOutput"][0], "ResponseRequiredFlag": False}]}

    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        for path, message in (
            ("/login", login()),
            ("/diagnosis", diagnosis()),
            ("/totals", request("GetTotals", {}, "g1")),
            ("/logout", request("Logout", {}, "o1")),
        ):
            code, told = await lane.post(path, message)
            assert (code, result_of(told)) == (200, ("Success", "")), path
            assert service_of(told) == message["MessageHeader"]["ServiceID"]
        device = request("Display", show, device="v1", kind="Device")
        code, told = await lane.post("/display", device)
        assert (code, told["MessageHeader"]["DeviceID"]) == (200, "v1")
        device = request("Display", unseen, device="v2", kind="Device")
        assert await lane.post("/display", device) == (204, None)

    live(disk, scenario)


def test_the_resources_that_are_polled_for(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        card = {"SaleData": payment(1)["PaymentRequest"]["SaleData"]}
        for path, message in (
            (
                "/acquisition",
                request("CardAcquisition", {**card, "CardAcquisitionTransaction": {}}),
            ),
            ("/update", request("Admin", {"ServiceIdentification": "Update"}, "u1")),
            ("/balanceinquiry", request("BalanceInquiry", {"PaymentAccountReq": {}}, "b1")),
            (
                "/reconciliation",
                request("Reconciliation", {"ReconciliationType": "SaleReconciliation"}, "r1"),
            ),
        ):
            assert (await lane.get(path))[0] == 423
            assert await lane.post(path, message) == (202, None), path
            *_, last = await lane.polled(path)
            assert (last[0], result_of(last[1])) == (200, ("Success", "")), path

    live(disk, scenario)


def test_another_terminal_has_its_resources_below_its_poi_id(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        there = f"/{OTHER_POI}/payment"
        assert await lane.post(there, payment(APPROVED, "s2", poi=OTHER_POI)) == (202, None)
        (last,) = await lane.polled(there)
        assert (service_of(last[1]), result_of(last[1])) == ("s2", ("Success", ""))
        assert (await lane.get(f"/{POI}/payment"))[0] in (201, 204), "it is the one of /payment"
        code, told = await lane.post(f"/{OTHER_POI}/login", login())
        assert (code, result_of(told)) == (200, ("Failure", "NotAllowed")), (
            "the header says another"
        )

    live(disk, scenario)


@pytest.mark.parametrize("path", ["/NOBODY/payment", "/payment/", "/", "", "/pay", "/loyalty"])
def test_what_is_not_there_is_a_problem_document(path: str, disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        answer = await HttpLane(gateway, FLAT).ask("POST", path, b"{}")
        assert answer.status == 404
        assert ("Content-Type", "application/problem+json") in answer.headers

    live(disk, scenario)


def test_without_a_poi_id_only_the_paths_with_one_are_there(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        assert (await lane.post("/diagnosis", diagnosis()))[0] == 404
        assert (await lane.post(f"/{POI}/diagnosis", diagnosis()))[0] == 200

    live(disk, scenario, poi_id="")


def test_only_what_is_polled_for_can_be_read(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        for resource in RESOURCES:
            answer = await lane.ask("GET", f"/{resource.name}")
            assert answer.status == (423 if resource.polled else 405), resource.name
            assert (await lane.ask("DELETE", f"/{resource.name}")).status == 405

    live(disk, scenario)


def test_a_message_that_is_too_large_is_refused(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        padded = {**diagnosis(), "Unknown": "x" * 4096}
        answer = await lane.ask("POST", "/diagnosis", str(padded).encode())
        assert answer.status == 413

    live(disk, scenario, largest_message=4096)


def test_a_web_page_cannot_pay(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        code, told = await lane.post("/payment", payment(APPROVED), Origin="http://shop.example")
        assert code == 400
        assert told["detail"].startswith("Web pages cannot")
        assert await gateway.charges() == {}

    live(disk, scenario)


def test_a_web_page_cannot_take_an_answer(disk: Path) -> None:
    """A picture that a page shows is fetched without an origin."""

    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        assert (await lane.post("/payment", payment(APPROVED)))[0] == 202
        for where in ("cross-site", "same-site", "same-origin"):
            answer = await lane.ask("GET", "/payment", headers={"Sec-Fetch-Site": where})
            assert answer.status == 400
        code, told = (await lane.polled("/payment"))[-1]
        assert code == 200
        assert told["PaymentResponse"]["Response"]["Result"] == "Success"

    live(disk, scenario)


def test_who_sends_an_envelope_gets_envelopes(disk: Path) -> None:
    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        code, told = await lane.post("/diagnosis", enveloped(diagnosis()))
        assert (code, list(told)) == (200, ["SaleToPOIResponse"])
        await lane.post("/payment", enveloped(payment(SLOW)))
        told = await lane.polled("/payment")
        envelopes = {next(iter(body)) for _, body in told}
        assert envelopes == {"SaleToPOIRequest", "SaleToPOIResponse"}

    live(disk, scenario)


def test_after_a_restart_nothing_is_under_way_and_status_tells(disk: Path) -> None:
    async def begin(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        await lane.post("/payment", payment(SLOW))
        await asyncio.sleep(1)

    async def go_on(gateway: GatewayUnderTest) -> Json:
        lane = HttpLane(gateway, FLAT)
        assert (await lane.get("/payment"))[0] == 423
        while True:
            code, told = await lane.post("/status", status("s1"))
            assert code == 200
            if result_of(told) != ("Failure", "InProgress"):
                return told
            await asyncio.sleep(1)

    gateway = machine(disk)
    gateway.live(begin)
    told = gateway.live(go_on).result
    repeated = told["TransactionStatusResponse"]["RepeatedMessageResponse"]
    inner = repeated["RepeatedResponseMessageBody"]["PaymentResponse"]
    assert inner["Response"]["Result"] == "Success"


def test_a_terminal_that_an_unknown_payment_blocks_says_what_to_do(disk: Path) -> None:
    async def lose(gateway: GatewayUnderTest) -> None:
        await HttpLane(gateway, FLAT).post("/payment", payment(LOST))
        await asyncio.sleep(30)

    async def pay(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        assert (await lane.post("/payment", payment(APPROVED, "s2")))[0] == 202
        *_, last = await lane.polled("/payment")
        assert result_of(last[1]) == ("Failure", "Busy")
        assert "tillwire" in last[1]["PaymentResponse"]["Response"]["AdditionalResponse"]

    gateway = machine(disk)
    gateway.live(lose)
    gateway.live(pay)


def test_a_defect_is_told_once_and_is_no_outcome(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("4111111111111111")

    async def scenario(gateway: GatewayUnderTest) -> None:
        lane = HttpLane(gateway, FLAT)
        with monkeypatch.context() as patch:
            patch.setattr("tillwire.dialects.nexo.face.poi.Poi.answer", broken)
            assert await lane.post("/payment", payment(APPROVED)) == (202, None)
            (last,) = await lane.polled("/payment")
            code, told = await lane.post("/diagnosis", diagnosis())
        assert last[0] == code == 500
        assert "4111" not in str((last, told))
        assert (await lane.get("/payment"))[0] == 423
        assert (await lane.post("/payment", payment(APPROVED)))[0] == 202, "it is free again"

    live(disk, scenario)
