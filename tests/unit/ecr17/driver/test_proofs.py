"""Once, and with proof: what goes out again, what is a refusal, and what nobody knows."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

import pytest

from tests.kit.faults import Connect, Faults, Flow, Noticed, scripted
from tests.kit.runner import virtual
from tests.kit.virtual_loop import virtual_loop
from tests.unit.ecr17.driver import pos
from tests.unit.ecr17.driver.pos import (
    PORT,
    ack,
    both,
    charge_alone,
    display,
    hang_up,
    nak,
    raw,
    result,
    silent,
    wait,
)
from tests.unit.ecr17.driver.till import Till, approved, payment, till
from tillwire.clock import Instant
from tillwire.core.model import Verdict
from tillwire.core.ports import CannotTell, Found
from tillwire.dialects.ecr17 import wire
from tillwire.errors import AnswerLost, NotDelivered, Proof

BY_JOURNAL: Final = {"last_stan": "journal"}
"""So that the command goes over the first connection."""


# --- what was never sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connect", "proof"),
    [(Connect.REFUSE, Proof.CONNECT_REFUSED), (Connect.SILENCE, Proof.NEVER_SENT)],
)
@virtual()
async def test_a_terminal_that_cannot_be_reached(connect: Connect, proof: Proof) -> None:
    counter = await till()
    virtual_loop().network.faults = scripted({PORT: [Faults(connect=connect)]})
    with pytest.raises(NotDelivered) as failure:
        await counter.run(payment())
    assert failure.value.proof is proof
    assert counter.pos.heard == []


@virtual()
async def test_a_terminal_may_take_nine_seconds_to_wake() -> None:
    counter = await till()
    virtual_loop().network.faults = scripted(
        {PORT: [Faults(connect_delay=9), Faults(connect_delay=9)]}
    )
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@virtual()
async def test_what_is_late_is_not_written() -> None:
    counter = await till()
    counter.pos.will(
        "G", both(ack, wait(3), pos.say(wire.UnassignedResult(tid=pos.TID, result="01")))
    )
    transaction = payment(send_by=Instant(virtual_loop().clock.now() + 2000))
    with pytest.raises(NotDelivered, match="had passed") as failure:
        await counter.run(transaction)
    assert failure.value.proof is Proof.NEVER_SENT
    assert counter.pos.codes == "G"


@pytest.mark.parametrize(
    "act", [silent, ack, hang_up, both(ack, raw(b"\x02123456780Z\x03\x00" * 3))]
)
@virtual()
async def test_a_terminal_that_is_odd_about_its_last_result_is_not_charged(act: pos.Act) -> None:
    counter = await till()
    counter.pos.will("G", act)
    with pytest.raises(NotDelivered, match='last_stan = "journal"'):
        await counter.run(payment())
    assert counter.pos.codes == "G"
    assert counter.notes.peer == {}


@virtual()
async def test_the_journal_knows_the_last_stan_when_the_terminal_does_not_say() -> None:
    counter = await till()
    counter.notes.known = [approved()]
    counter.pos.will("G", *[nak] * 3)
    await counter.run(payment())
    assert counter.notes.peer["last_stan"] == "000123"
    assert counter.notes.peer["last_approved"] == "yes"


@virtual()
async def test_the_terminal_says_that_it_has_saved_nothing() -> None:
    counter = await till()
    await counter.run(payment())
    assert counter.notes.peer["last_stan"] == "none"


@virtual()
async def test_what_is_said_before_it_is_asked_is_no_answer() -> None:
    counter = await till(**BY_JOURNAL)
    serve = counter.pos.serve
    greetings = [wire.NAK, b""]

    async def greet(reader: object, writer: object) -> None:
        writer.write(greetings.pop(0) if greetings else b"")  # type: ignore[attr-defined]
        await serve(reader, writer)  # type: ignore[arg-type]

    other = Till(counter.pos, port=9000, **BY_JOURNAL)
    await asyncio.start_server(greet, "127.0.0.1", 9000)
    assert (await other.run(payment())).verdict is Verdict.APPROVED
    greetings[:] = [wire.NAK] * 2
    with pytest.raises(NotDelivered, match="before it is asked"):
        await other.run(payment())
    assert len(counter.pos.charged) == 1


# --- NAK ------------------------------------------------------------------------------------------


@virtual()
async def test_a_nak_may_be_repeated_up_to_three_times_in_all() -> None:
    counter = await till()
    counter.pos.will("X", nak, nak)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert len(counter.pos.of("X")) == 3
    counter.pos.heard.clear()
    counter.pos.will("X", nak, nak, nak)
    with pytest.raises(NotDelivered, match="NAK 3 times") as failure:
        await counter.run(payment())
    assert failure.value.proof is Proof.REFUSED_BY_PEER
    assert len(counter.pos.of("X")) == 3
    assert counter.pos.charged == ["000124"]


@virtual()
async def test_what_was_refused_and_is_late_is_not_written_again() -> None:
    counter = await till(**BY_JOURNAL)
    counter.pos.will("X", both(wait(2), nak))
    with pytest.raises(NotDelivered, match="NAK 1 times") as failure:
        await counter.run(payment(send_by=Instant(virtual_loop().clock.now() + 1000)))
    assert failure.value.proof is Proof.REFUSED_BY_PEER
    assert len(counter.pos.of("X")) == 1


@pytest.mark.parametrize("act", [both(nak, nak), both(nak, hang_up), both(nak, wait(0.2), nak)])
@virtual()
async def test_a_refusal_that_cannot_be_paired_is_not_answered_with_another_try(
    act: pos.Act,
) -> None:
    counter = await till()
    counter.pos.will("X", act)
    with pytest.raises(NotDelivered) as failure:
        await counter.run(payment())
    assert failure.value.proof is Proof.REFUSED_BY_PEER
    assert len(counter.pos.of("X")) == 1


@pytest.mark.parametrize("then", [ack, display("..."), wait(0)])
@virtual()
async def test_what_is_taken_after_a_nak_is_not_sent_again(then: pos.Act) -> None:
    counter = await till()
    counter.pos.will("X", both(nak, wait(0.2), then, result()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    await asyncio.sleep(5)
    assert counter.pos.charged == ["000124"]
    assert len(counter.pos.of("X")) == 1


@virtual()
async def test_a_refusal_and_then_silence_is_no_proof() -> None:
    counter = await till()
    counter.pos.will("X", nak, charge_alone)
    with pytest.raises(AnswerLost):
        await counter.run(payment())
    assert len(counter.pos.of("X")) == 2
    assert len(counter.pos.charged) == 1


# --- ACK ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octet", [0x02, 0x03, 0x06, 0x15, 0x78, 0x00])
@virtual()
async def test_an_ack_is_one_whatever_its_check_character(octet: int) -> None:
    counter = await till()
    counter.pos.will("X", both(raw(bytes((0x06, 0x03, octet))), result()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    counter.pos.will("X", *[raw(bytes((0x15, 0x03, octet)))] * 3)
    with pytest.raises(NotDelivered):
        await counter.run(payment())


@pytest.mark.parametrize(
    "before",
    [
        wait(0),  # no ACK at all
        both(wait(14), ack),  # a late one
        both(raw(b"\x06"), wait(1), raw(b"\x03"), wait(1), raw(b"\x7a")),
        both(display("INSERIRE CARTA"), wait(5), ack),
        both(ack, ack, ack),
        both(ack, wait(1), nak),
        both(ack, raw(b"garbage\xff")),
    ],
)
@virtual()
async def test_however_it_is_acknowledged_the_result_counts(before: pos.Act) -> None:
    counter = await till()
    counter.pos.will("X", both(before, result()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert counter.pos.charged == ["000124"]
    assert len(counter.pos.of("X")) == 1


@virtual()
async def test_ack_progress_and_result_in_one_packet() -> None:
    counter = await till()

    async def at_once(connection: pos.Wire, request: wire.Request) -> None:
        done = connection.pos.frame(connection.pos.charge(request))
        await connection.raw(wire.ACK + wire.progress("PIN") + done)

    counter.pos.will("X", at_once)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert counter.notes.displays == ["PIN"]


@virtual()
async def test_octet_by_octet() -> None:
    counter = await till(receipts="till")
    virtual_loop().network.faults = scripted({PORT: [Faults(to_client=Flow(pieces=1))] * 3})
    assert (await counter.run(payment())).receipts is not None


@pytest.mark.parametrize("act", [silent, charge_alone, hang_up, both(charge_alone, hang_up)])
@virtual()
async def test_silence_is_neither_proof_nor_repeated(act: pos.Act) -> None:
    counter = await till(late_ack_seconds=7)
    counter.pos.will("X", act)
    began = virtual_loop().time()
    with pytest.raises(AnswerLost):
        await counter.run(payment())
    assert virtual_loop().time() - began < 8
    assert len(counter.pos.of("X")) == 1


# --- the result -----------------------------------------------------------------------------------


@virtual()
async def test_progress_restarts_the_wait_up_to_the_cap() -> None:
    counter = await till(result_seconds=30, capped_seconds=100)
    counter.pos.will("X", both(ack, *[both(wait(25), display("PIN"))] * 3, wait(20), result()))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    counter.pos.will("X", both(ack, *[both(wait(25), display("PIN"))] * 5, result()))
    began = virtual_loop().time()
    with pytest.raises(AnswerLost, match="in time"):
        await counter.run(payment())
    assert 100 <= virtual_loop().time() - began < 101
    counter.pos.will("X", both(ack, wait(31), result()))
    with pytest.raises(AnswerLost):
        await counter.run(payment())


@virtual()
async def test_a_garbled_result_is_asked_for_again_up_to_three_times() -> None:
    counter = await till()

    def garbled(times: int) -> pos.Act:
        async def act(connection: pos.Wire, request: wire.Request) -> None:
            await connection.raw(wire.ACK)
            octets = bytearray(connection.pos.frame(connection.pos.charge(request)))
            for number in range(3):
                frame = bytes(octets)
                if number < times:
                    frame = frame[:-1] + bytes((frame[-1] ^ 0x40,))
                await connection.raw(frame)
                if isinstance(await connection.controls.get(), wire.Ack):  # type: ignore[attr-defined]
                    return

        return act

    counter.pos.will("X", garbled(2))
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    counter.pos.acks.clear()
    counter.pos.will("X", garbled(3))
    with pytest.raises(AnswerLost, match="check character of its result"):
        await counter.run(payment())
    kinds = [type(each).__name__ for each in counter.pos.acks]
    assert kinds == ["Ack", "Nak", "Nak", "Nak"]  # the first of the last result before


@virtual()
async def test_a_result_that_is_told_again_is_acknowledged_again() -> None:
    counter = await till(receipts="till")

    async def twice(connection: pos.Wire, request: wire.Request) -> None:
        await connection.raw(wire.ACK)
        done = connection.pos.charge(request)
        assert await connection.told(done)
        assert await connection.told(done)
        await pos.receipts(connection, request)

    counter.pos.will("X", twice)
    outcome = await counter.run(payment())
    assert outcome.verdict is Verdict.APPROVED
    assert outcome.receipts is not None


@pytest.mark.parametrize("octet", [0x00, 0x02, 0x03, 0x06, 0x15])
@virtual()
async def test_results_whose_check_character_is_a_control_octet(octet: int) -> None:
    counter = await till()

    async def fitting(connection: pos.Wire, request: wire.Request) -> None:
        await connection.raw(wire.ACK)
        for code in itertools.product("0123456789ABCDEFPQRSTUVWabcdefpqrstuvw", repeat=2):
            told = connection.pos.charge(request, authorisation_code="".join(code) + "0000")
            if connection.pos.frame(told)[-1] == octet:
                await connection.told(told)
                return

    counter.pos.will("X", fitting)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


# --- the check character --------------------------------------------------------------------------


@pytest.mark.parametrize("reading", ["stx", "etx", "payload"])
@virtual()
async def test_each_reading_set_or_found_out(reading: str) -> None:
    counter = await till(reading, lrc=reading)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert counter.pos.codes == "GX"
    assert counter.pos.garbled == 0
    finder = Till(counter.pos, lrc="discover")
    for _ in range(2):
        assert (await finder.run(payment())).verdict is Verdict.APPROVED
    assert counter.pos.codes == "GX" + "sGX" + "GX"
    assert counter.pos.garbled == ["stx", "etx", "payload"].index(reading)


@virtual()
async def test_the_wrong_reading_is_refused_and_charges_nothing() -> None:
    counter = await till("stx", lrc="payload")
    with pytest.raises(NotDelivered, match="check character") as failure:
        await counter.run(payment())
    assert failure.value.proof is Proof.REFUSED_BY_PEER
    assert counter.pos.charged == []


@virtual()
async def test_a_reading_is_found_out_again_when_it_is_refused() -> None:
    counter = await till(lrc="discover")
    await counter.run(payment())
    counter.pos.reading = wire.Lrc.ETX
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@virtual()
async def test_a_terminal_that_answers_in_no_reading() -> None:
    counter = await till(lrc="discover")
    counter.pos.will("s", *[silent] * 3)
    with pytest.raises(NotDelivered, match="whatever check character"):
        await counter.run(payment())


# --- cut after every octet ------------------------------------------------------------------------


def _lengths() -> tuple[int, int]:
    request = wire.ExtendedPaymentRequest(tid=pos.TID, cash_register="00000001", amount=4250)
    parts = wire.receipt_parts(pos.TID, pos.TICKET)
    told = 3 + 22 + 95 + sum(len(wire.encode(each)) + 3 for each in parts)
    return len(wire.encode(request)) + 3, told


ASKED_OCTETS, TOLD_OCTETS = _lengths()
COURSE: Final = both(ack, display("PIN"), wait(3), result(), pos.receipts)


@pytest.mark.parametrize("noticed", list(Noticed))
@virtual()
async def test_cut_after_every_octet(noticed: Noticed) -> None:
    """Whatever arrives and whatever does not: an outcome is what the terminal did, a proof is that
    it did nothing, and what was lost is found again or left to a person."""
    cuts = [Faults(to_client=Flow(cut_after=at, noticed=noticed)) for at in range(TOLD_OCTETS + 2)]
    cuts += [
        Faults(to_server=Flow(cut_after=at, noticed=noticed)) for at in range(ASKED_OCTETS + 16)
    ]
    seen = set()
    for cut in cuts:
        counter = await _fresh()
        counter.pos.will("X", COURSE)
        virtual_loop().network.faults = _first(cut)
        transaction = payment(deadline=Instant(virtual_loop().clock.now() + 255_000))
        ending = await _end(counter, transaction)
        seen.add(ending)
        assert len(counter.pos.of("X")) <= 1
        assert len(counter.pos.charged) <= 1
        if ending in ("approved", "recovered"):
            assert counter.pos.charged == ["000124"]
        if ending == "proved":
            assert counter.pos.charged == []
    assert {"approved", "recovered"} <= seen
    assert "person" in seen  # it recorded nothing new


async def _fresh() -> Till:
    made = Till(pos.Pos(), **BY_JOURNAL, late_ack_seconds=5, receipts="terminal")
    made.pos.routed = True
    made.notes.known = [approved()]
    virtual_loop().network.strike(PORT)
    await pos.listen(made.pos)
    return made


def _first(cut: Faults) -> object:
    """The next connection is cut, those after it are not."""
    left = [cut]

    def policy(port: int, number: int) -> Faults:
        return left.pop() if left else Faults()

    return policy


async def _end(counter: Till, transaction: object) -> str:
    try:
        outcome = await counter.run(transaction)  # type: ignore[arg-type]
    except NotDelivered:
        return "proved"
    except AnswerLost:
        pass
    else:
        assert outcome.verdict is Verdict.APPROVED
        return "approved"
    virtual_loop().jump(300)
    found = await counter.recover(transaction)  # type: ignore[arg-type]
    if isinstance(found, Found):
        assert found.outcome.approved_amount == 4250
        return "recovered"
    assert isinstance(found, CannotTell)
    assert found.needs_person
    assert "000123" in found.detail or "no STAN" in found.detail, found.detail
    return "person"
