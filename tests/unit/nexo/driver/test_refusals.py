"""Refusals: an explicit one may be the answer to a double of our message, so the terminal is asked
what it knows before anything is believed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import (
    Poi,
    Send,
    approval,
    approve,
    both,
    event,
    fail,
    refuse_post,
    wait,
)
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.clock import Instant
from tillwire.core.model import Evidence, Verdict
from tillwire.core.ports import Absent, Sign
from tillwire.dialects.nexo import wire
from tillwire.errors import AnswerLost, JournalError, JournalFull, NotDelivered, Proof

BINDINGS: Final[dict[str, dict[str, Any]]] = {"tcp": {}, "held": {"tls": False}, "http": {}}
every_binding = pytest.mark.parametrize("binding", BINDINGS)
REFUSALS: Final = [
    "Busy",
    "NotAllowed",
    "MessageFormat",
    "UnavailableService",
    "UnavailableDevice",
    "DeviceOut",
    "NotFound",
    "InProgress",
]


async def not_delivered(counter: Till, **changes: Any) -> NotDelivered:
    """The proof with which it ends."""
    with pytest.raises(NotDelivered) as failure:
        await counter.run(payment(**changes))
    return failure.value


async def do_it_first(poi_: Poi, message: wire.Message, send: Send) -> None:
    """The double of the message came before it, and was done."""
    poi_.charge(message)
    poi_.keep(message, approval(message))


@every_binding
@pytest.mark.parametrize("condition", REFUSALS)
@virtual()
async def test_a_refusal_of_what_the_terminal_does_not_know_is_a_proof(
    binding: str, condition: str
) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", fail(condition, remembered=False))
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert f"{condition}: because" in str(failure)
    assert len(counter.poi.of("Payment")) == 1
    (question,) = counter.poi.of("TransactionStatus")
    reference = question.body.message_reference  # type: ignore[union-attr]
    assert reference is not None
    assert reference.service_id == counter.poi.of("Payment")[0].header.service_id
    assert question.header.service_id != reference.service_id


@every_binding
@pytest.mark.parametrize("condition", sorted({*REFUSALS} - {"InProgress"}))
@virtual()
async def test_a_refusal_that_the_terminal_repeats_is_a_proof(binding: str, condition: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", fail(condition))
    assert (await not_delivered(counter)).proof is Proof.REFUSED_BY_PEER


@every_binding
@pytest.mark.parametrize("condition", [*REFUSALS, "LoggedOut"])
@virtual()
async def test_a_refusal_of_a_double_does_not_hide_the_payment(
    binding: str, condition: str
) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", both(do_it_first, fail(condition, remembered=False)))
    outcome = await counter.run(payment(4250))
    assert (outcome.verdict, outcome.approved_amount) == (Verdict.APPROVED, 4250)
    assert outcome.evidence is Evidence.RECOVERED


@virtual()
async def test_a_refusal_is_journaled_before_it_is_confirmed() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("Busy", remembered=False))
    counter.poi.will("TransactionStatus", *[poi.hang_up] * 3)
    with pytest.raises(AnswerLost):
        await counter.run(payment())
    # What was lost is recovered with the refusal in hand.
    found = await counter.driver.recover(counter.lost(payment()))
    assert isinstance(found, Absent)
    assert found.proof is Proof.REFUSED_BY_PEER


@virtual()
async def test_a_journal_that_cannot_note_a_refusal_does_not_cost_the_proof() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("Busy", remembered=False))

    async def progress(sign: Sign) -> None:
        if sign.peer["refused"]:
            raise JournalError("The disk is full.")

    with pytest.raises(NotDelivered):
        await counter.driver.run(payment(), progress)


@virtual()
async def test_what_runs_after_all_is_waited_for() -> None:
    counter = await till()
    counter.poi.will("Payment", both(fail("InProgress", remembered=False), wait(30), do_it_first))
    running = fail("InProgress", remembered=False)
    counter.poi.will("TransactionStatus", *[running] * 10, *[fail("Busy", remembered=False)] * 5)
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.APPROVED
    assert 30 <= virtual_loop().time() <= 33
    assert list(counter.poi.charged.values()) == [1]


@virtual()
async def test_what_stays_in_doubt_is_lost() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("Busy", remembered=False))
    counter.poi.will("TransactionStatus", *[fail("UnreachableHost", remembered=False)] * 3)
    with pytest.raises(AnswerLost, match="Busy"):
        await counter.run(payment())
    assert len(counter.poi.of("TransactionStatus")) == 3


@every_binding
@virtual()
async def test_a_rejected_message_is_a_refusal_like_any_other(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", event("Reject", details="At MessageHeader: bad"))
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert "Reject: At MessageHeader: bad" in str(failure)


@every_binding
@virtual()
async def test_a_rejected_double_does_not_hide_the_payment(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", both(do_it_first, event("Reject")))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


# --- failures behind which a payment may stand ----------------------------------------------------


@every_binding
@pytest.mark.parametrize("condition", ["UnreachableHost", "Invented"])
@virtual()
async def test_a_failure_that_is_not_definite_counts_when_it_is_repeated(
    binding: str, condition: str
) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", fail(condition))
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.evidence) == (Verdict.DECLINED, Evidence.RECOVERED)
    assert outcome.reason == "because"


@virtual()
async def test_what_came_of_it_in_the_end_counts_more_than_an_unreachable_host() -> None:
    counter = await till()
    counter.poi.will("Payment", both(fail("UnreachableHost"), do_it_first))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@virtual()
async def test_a_failure_that_is_not_definite_and_not_repeated_is_lost() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("UnreachableHost", remembered=False))
    with pytest.raises(AnswerLost, match="UnreachableHost"):
        await counter.run(payment())


# --- below the protocol ---------------------------------------------------------------------------


@pytest.mark.parametrize("binding", ["held", "http"])
@pytest.mark.parametrize("status", [401, 404, 405, 413, 415])
@virtual()
async def test_a_door_that_is_shut_is_a_proof(binding: str, status: int) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", refuse_post(status))
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert str(status) in str(failure)
    assert counter.poi.of("TransactionStatus") == []


@pytest.mark.parametrize("binding", ["held", "http"])
@pytest.mark.parametrize("status", [400, 403, 409, 422, 423, 429])
@virtual()
async def test_a_refused_post_is_confirmed(binding: str, status: int) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", refuse_post(status, b'{"title": "in use"}'))
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert len(counter.poi.of("TransactionStatus")) == 1
    if counter.flat is not None:
        assert counter.flat.polls == []  # it might take another till's answer


@pytest.mark.parametrize("binding", ["held", "http"])
@virtual()
async def test_a_refused_post_of_a_double_does_not_hide_the_payment(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])

    async def done_and_refused(poi_: Poi, message: wire.Message, send: Send) -> None:
        await do_it_first(poi_, message, send)
        raise poi.Http(403)

    done_and_refused.refuses = True  # type: ignore[attr-defined]
    counter.poi.will("Payment", done_and_refused)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@pytest.mark.parametrize("binding", ["held", "http"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 302])
@virtual()
async def test_what_a_proxy_says_is_no_answer(binding: str, status: int) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", refuse_post(status, b"<html>"))
    with pytest.raises(AnswerLost, match=str(status)):
        await counter.run(payment())


@pytest.mark.parametrize("body", [b"", b"ok", b"{}", b"<html>", b'{"a": 1}'])
@virtual()
async def test_an_answer_without_a_message_is_lost(body: bytes) -> None:
    counter = await till("held", tls=False)
    counter.poi.will("Payment", poi.say(lambda _: body))
    with pytest.raises(AnswerLost):
        await counter.run(payment())


# --- logins ---------------------------------------------------------------------------------------


def wants_login(poi_: Poi) -> list[str]:
    """Let the terminal do nothing before a login; who logged in."""
    logins: list[str] = []
    usual = {**poi.USUALLY}

    def guarded(category: str) -> poi.Act:
        async def act(there: Poi, message: wire.Message, send: Send) -> None:
            if logins:
                await usual[category](there, message, send)
            else:
                await fail("LoggedOut", remembered=False)(there, message, send)

        return act

    async def let_in(there: Poi, message: wire.Message, send: Send) -> None:
        logins.append(message.header.sale_id)
        await poi.let_in(there, message, send)

    poi_.will("Payment", *[guarded("Payment")] * 5)
    poi_.will("TransactionStatus", *[guarded("TransactionStatus")] * 5)
    poi_.will("Login", *[let_in] * 5)
    return logins


@every_binding
@virtual()
async def test_who_is_not_logged_in_logs_in_and_sends_once_more(binding: str) -> None:
    counter = await till(binding, **BINDINGS[binding])
    logins = wants_login(counter.poi)
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.APPROVED
    assert logins == ["tillwire"]
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == [
        "Payment",
        "TransactionStatus",
        "Login",
        "TransactionStatus",
        "Payment",
    ]
    first, second = (each.header.service_id for each in counter.poi.of("Payment"))
    assert first != second
    assert counter.notes.peer["service_id"] == second
    assert counter.notes.peer["refused"] == ""
    peers = [sign.peer["service_id"] for _, sign in counter.notes.signs if sign.peer]
    assert peers == [first, first, second]


@virtual()
async def test_what_says_not_allowed_for_want_of_a_login_is_sent_once_more() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("NotAllowed", remembered=False))
    counter.poi.will("TransactionStatus", fail("NotAllowed", remembered=False))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert len(counter.poi.of("Payment")) == 2


@every_binding
@pytest.mark.parametrize("remembered", [True, False])
@virtual()
async def test_a_terminal_that_wants_a_login_for_the_command_alone_gets_one(
    binding: str, remembered: bool
) -> None:
    counter = await till(binding, **BINDINGS[binding])
    counter.poi.will("Payment", fail("LoggedOut", remembered=remembered))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == ["Payment", "TransactionStatus", "Login", "Payment"]


@virtual()
async def test_a_login_that_is_refused_then_leaves_the_proof() -> None:
    counter = await till()
    counter.poi.will("Payment", fail("LoggedOut"))
    counter.poi.will("Login", fail("Refusal"))
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert len(counter.poi.of("Payment")) == 1


@virtual()
async def test_it_is_sent_once_more_only() -> None:
    counter = await till()
    counter.poi.will("Payment", *[fail("LoggedOut", remembered=False)] * 3)
    counter.poi.will(
        "TransactionStatus",
        fail("LoggedOut", remembered=False),
        poi.repeat,
        fail("LoggedOut", remembered=False),
        poi.repeat,
    )
    failure = await not_delivered(counter)
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert len(counter.poi.of("Payment")) == 2


@virtual()
async def test_a_login_that_takes_too_long_ends_it() -> None:
    counter = await till()
    wants_login(counter.poi)
    counter.poi.script["Login"].appendleft(both(wait(4), poi.let_in))
    counter.poi.script["TransactionStatus"].clear()
    counter.poi.will("TransactionStatus", fail("LoggedOut", remembered=False))
    now = virtual_loop().clock.now()
    failure = await not_delivered(counter, send_by=Instant(now + 3_000))
    assert failure.proof is Proof.REFUSED_BY_PEER
    assert len(counter.poi.of("Payment")) == 1


@virtual()
async def test_a_payment_that_was_done_is_not_sent_again_after_a_login() -> None:
    counter = await till()
    counter.poi.will("Payment", both(do_it_first, fail("LoggedOut", remembered=False)))
    counter.poi.will("TransactionStatus", fail("LoggedOut", remembered=False))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert len(counter.poi.of("Payment")) == 1
    assert len(counter.poi.of("Login")) == 1


@virtual()
async def test_nobody_logs_in_where_that_is_forbidden() -> None:
    counter = await till(login="never")
    wants_login(counter.poi)
    with pytest.raises(AnswerLost, match="login"):
        await counter.run(payment())
    assert counter.poi.of("Login") == []


@virtual()
async def test_a_login_comes_first_where_that_is_wanted() -> None:
    counter = await till(login="first", operator="op-19", language="nl")
    await counter.run(payment())
    await counter.run(payment())
    kinds = [each.header.message_category for each in counter.poi.heard]
    assert kinds == ["Login", "Payment", "Payment"]
    body = msgspec.to_builtins(counter.poi.heard[0].body)
    assert body["OperatorID"] == "op-19"
    assert body["OperatorLanguage"] == "nl"
    assert body["DateTime"] == "2026-03-14T09:20:00.000Z"
    assert body["SaleSoftware"]["ProviderIdentification"] == "tillwire"
    assert "CashierStatus" in body["SaleTerminalData"]["SaleCapabilities"]


@pytest.mark.parametrize("login", [fail("Refusal", remembered=False), poi.hang_up])
@virtual()
async def test_a_login_that_comes_first_and_fails_is_a_proof(login: poi.Act) -> None:
    counter = await till(login="first")
    counter.poi.will("Login", login)
    failure = await not_delivered(counter)
    assert failure.proof is Proof.NEVER_SENT
    assert counter.notes.peer == {}
    assert counter.poi.of("Payment") == []


# --- a line that has gone quiet -------------------------------------------------------------------


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_a_line_that_a_firewall_forgot_does_not_cost_the_outcome(binding: str) -> None:
    counter = await till(binding, quiet_seconds=20, **BINDINGS[binding])
    counter.poi.will("Payment", poi.do_it_and_lose_the_answer)
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.evidence) == (Verdict.APPROVED, Evidence.RECOVERED)
    assert 20 <= virtual_loop().time() < 21


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_a_slow_customer_is_waited_for(binding: str) -> None:
    counter = await till(binding, quiet_seconds=20, **BINDINGS[binding])
    counter.poi.will("Payment", both(wait(70), approve()))
    counter.poi.will("TransactionStatus", *[fail("InProgress", remembered=False)] * 3)
    outcome = await counter.run(payment())
    assert (outcome.verdict, outcome.evidence) == (Verdict.APPROVED, Evidence.ANSWER)
    assert len(counter.poi.of("TransactionStatus")) == 3


@virtual()
async def test_a_line_that_speaks_is_not_quiet() -> None:
    counter = await till(quiet_seconds=20)
    shown = (part for n in range(10) for part in (wait(15), poi.display(f"{n}")))
    counter.poi.will("Payment", both(*shown, approve()))
    await counter.run(payment())
    assert counter.poi.of("TransactionStatus") == []


@virtual()
async def test_a_login_does_not_disturb_a_payment_that_may_be_running() -> None:
    """Some terminals refuse every other service meanwhile, and begin anew with a Login."""
    counter = await till(quiet_seconds=20)
    counter.poi.will("Payment", both(wait(30), approve()))
    counter.poi.will("TransactionStatus", fail("NotAllowed", remembered=False))
    assert (await counter.run(payment())).evidence is Evidence.ANSWER
    assert counter.poi.of("Login") == []


@virtual()
async def test_a_question_that_the_journal_has_no_number_for_does_not_cost_the_answer() -> None:
    counter = await till(quiet_seconds=20)
    numbers = counter.notes.number

    async def once(series: str) -> int:
        counter.notes.number = full  # type: ignore[method-assign]
        return await numbers(series)

    async def full(series: str) -> int:
        raise JournalFull("the disk is full")

    counter.notes.number = once  # type: ignore[method-assign]
    counter.poi.will("Payment", both(wait(30), approve()))
    assert (await counter.run(payment())).evidence is Evidence.ANSWER


@virtual()
async def test_quiet_can_be_left_alone() -> None:
    counter = await till(quiet_seconds=0)
    counter.poi.will("Payment", poi.do_it_and_lose_the_answer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(170):
            await counter.run(payment())
    assert counter.poi.of("TransactionStatus") == []
