"""Nothing loses a letter, keeps it for ever, or holds up the others: neither a clock that is set,
nor a journal that fails, nor a host that is slow, nor a person who sends it again meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.callbacks.outbox import Outbox, Receiver, SetClock, long_ago, outbox
from tillwire.callbacks import deliver, rounds, settling
from tillwire.callbacks.deliver import LOOK_EVERY, PAGE, PARALLEL, SLOW
from tillwire.callbacks.rounds import FEW
from tillwire.core.letters import Letter, LetterState, send_again
from tillwire.errors import JournalBusy, JournalFull

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR


def now() -> float:
    """Seconds on the loop's clock."""
    return asyncio.get_running_loop().time()


def slowly(life: Outbox, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Every commit of this life takes so long from now on; the list grows by one with each."""
    commit, commits = life.journal.commit, list[int]()

    async def slow(work: Callable[..., Any]) -> Any:
        await asyncio.sleep(seconds)
        commits.append(1)
        return await commit(work)

    monkeypatch.setattr(life.journal, "commit", slow)
    return commits


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-24 * 365, -1, 1, 24 * 365])
@virtual()
async def test_a_clock_that_is_set_delays_no_further_try(tmp_path: Path, hours: int) -> None:
    receiver = Receiver(lambda _: 500)
    clock = SetClock()
    async with outbox(tmp_path, receiver, clock=clock) as life:
        (number,) = await life.post(life.letter())
        await asyncio.sleep(1)
        clock.ahead += hours * HOUR
        assert (await life.settled(number)).state is LetterState.GIVEN_UP
    begin = receiver.heard[0][0]
    assert [round(at - begin) for at, _ in receiver.heard] == [0, 2, 12, 72]


@virtual()
async def test_nor_does_one_that_is_set_back_between_two_lives(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: 500)
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter())
        await asyncio.sleep(1)
    clock = SetClock()
    clock.ahead = -YEAR
    async with outbox(tmp_path, receiver, clock=clock) as life:
        await life.settled(number)
    begin = receiver.heard[0][0]
    assert [round(at - begin) for at, _ in receiver.heard] == [0, 3, 13, 73]


@virtual()
async def test_a_clock_that_leaps_ahead_drops_no_letter_that_waits(tmp_path: Path) -> None:
    """A machine that starts with a wrong date, and a letter between two of its tries."""
    answers = [200, 500]
    receiver = Receiver(lambda _: answers.pop())
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter(pauses=(7200.0,)))
        await asyncio.sleep(1)
    clock = SetClock()
    clock.ahead = YEAR
    async with outbox(tmp_path, receiver, clock=clock) as life:
        assert (await life.settled(number)).state is LetterState.DELIVERED


@virtual()
async def test_what_no_key_opens_is_given_up_after_thirty_days(tmp_path: Path) -> None:
    async with outbox(tmp_path, Receiver(), start=False) as life:
        letter = life.letter("sealed")
        old = msgspec.structs.replace(letter, created_at=long_ago(letter, 31))
        fresh, _ = await life.post(letter, old)
    (tmp_path / "journal.db.key").rename(tmp_path / "mislaid")
    async with outbox(tmp_path, Receiver()) as life:
        await asyncio.sleep(3700)
        left = await life.journal.read(lambda reader: reader.letters_on("callback", 9))
        assert [each.id for each in left] == [fresh]
        assert life.counted == [("callback", LetterState.GIVEN_UP, 31 * 86_400)]


# --- the journal --------------------------------------------------------------------------------


@virtual()
async def test_no_host_waits_for_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer frees its slot, and what stands behind a letter goes on, before the answer is
    durable; many are made durable at once."""
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False, parallel_per_host=2) as life:
        ids = await life.post(*(life.letter(transaction=str(each % 9)) for each in range(90)))
        commits = slowly(life, monkeypatch, 1.0)
        begin = now()
        life.delivery.start()
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
        assert len(receiver.heard) == 90
        assert receiver.heard[-1][0] - begin < 0.1
        assert len(commits) <= 3


@virtual()
async def test_nothing_is_sent_as_long_as_too_much_is_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them would be sent a second time by a process that is started anew."""
    monkeypatch.setattr(settling, "MOST", 20)
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False, parallel=8) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(100)))
        commit, full = life.journal.commit, [True]

        async def failing(work: Callable[..., object]) -> object:
            if full:
                raise JournalFull("full")
            return await commit(work)

        monkeypatch.setattr(life.journal, "commit", failing)
        life.delivery.start()
        await asyncio.sleep(3600)
        assert 20 <= len(receiver.heard) <= 28
        assert life.delivery.waiting == 100
        full.clear()
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
        assert len(receiver.heard) == 100


@virtual()
async def test_what_was_answered_before_a_stop_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(9)))
        slowly(life, monkeypatch, 0.2)
        life.delivery.start()
        await asyncio.sleep(0.1)
        assert len(receiver.heard) == 9
    async with outbox(tmp_path, receiver) as life:
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
    assert len(receiver.heard) == 9


@virtual()
async def test_a_stop_does_not_wait_for_a_journal_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        await life.post(life.letter())
        slowly(life, monkeypatch, 3600.0)
        life.delivery.start()
        await asyncio.sleep(1)
        assert len(receiver.heard) == 1
        begin = now()
        await life.delivery.stop()
        assert now() - begin <= settling.LAST_TRY


@virtual()
async def test_a_letter_that_cannot_be_settled_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it sent again and again: it waits for the next start."""
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        ids = await life.post(*(life.letter(str(each), transaction=None) for each in range(5)))
        commit = life.journal.commit

        async def failing(work: Callable[..., object]) -> object:
            def looked(unit: Any) -> object:
                settle = unit.settle_letter

                def settle_letter(letter: Letter) -> bool:
                    if letter.id == ids[1]:
                        raise OverflowError("too large")
                    return bool(settle(letter))

                unit.settle_letter = settle_letter
                return work(unit)

            return await commit(looked)

        monkeypatch.setattr(life.journal, "commit", failing)
        life.delivery.start()
        for number in ids[:1] + ids[2:]:
            assert (await life.settled(number)).state is LetterState.DELIVERED
        await asyncio.sleep(3600)
        assert len(receiver.heard) == 5
        assert (await life.found(ids[1])).state is LetterState.WAITING
        assert life.delivery.waiting == 0


@virtual()
async def test_a_surprise_while_the_outbox_is_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        (number,) = await life.post(life.letter())
        read, failures = life.journal.read, [RuntimeError("no thread"), JournalBusy("busy")]

        async def failing(work: Callable[..., object]) -> object:
            if failures:
                raise failures.pop()
            return await read(work)

        monkeypatch.setattr(life.journal, "read", failing)
        life.delivery.start()
        await asyncio.sleep(3 * LOOK_EVERY)
        assert (await life.settled(number)).state is LetterState.DELIVERED


@virtual()
async def test_letters_that_do_not_fit_into_memory_are_read_again_for_their_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "KNOWN_BYTES", 1000)
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        ids = await life.post(*(life.letter(f"{each}", transaction="1") for each in range(50)))
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
        assert receiver.words() == [f"till.example {each}" for each in range(50)]


@virtual()
async def test_the_first_letters_are_sent_before_the_last_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start with 10,000 that wait, which all are sent then."""
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(10_000)))
        read = life.journal.read

        async def slow(work: Callable[..., object]) -> object:
            await asyncio.sleep(0.01)
            return await read(work)

        monkeypatch.setattr(life.journal, "read", slow)
        begin = now()
        life.delivery.start()
        await life.settled(ids[-1])
        assert receiver.heard[0][0] - begin < 0.05
        assert len(ids) // PAGE == 100
        await asyncio.sleep(1)
        assert len(receiver.heard) == len(ids)
        assert life.delivery.waiting == 0


# --- people -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.5, 1.5])
@virtual()
async def test_what_a_person_sends_again_meanwhile_goes_on_under_its_new_id_alone(
    tmp_path: Path, after: float
) -> None:
    """While it is under way, and while it waits for its next try."""
    receiver = Receiver(lambda _: 500)
    receiver.seconds = {"till.example": 1.0}
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter(transaction=None, pauses=(100.0,) * 3))
        await asyncio.sleep(after)
        again = await life.journal.commit(lambda unit: send_again(unit, number, life.clock.now()))
        letter = await life.settled(again)
        assert (letter.state, letter.tries) == (LetterState.GIVEN_UP, 4)
        assert len(receiver.heard) == 1 + 4
        assert life.delivery.waiting == 0


@virtual()
async def test_a_hook_that_is_gone_says_nothing_about_its_host(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.seconds = {"till.example": 1.0}

    def wanted(letter: Letter) -> bool:
        return letter.channel == "callback"

    async with outbox(tmp_path, receiver, wanted=wanted, start=False) as life:
        gone = [life.letter(channel=f"hook:{each}") for each in range(20)]
        letters = [life.letter(transaction=str(each)) for each in range(20)]
        await life.post(*(each for pair in zip(gone, letters, strict=True) for each in pair))
        life.delivery.start()
        await asyncio.sleep(0.5)
        assert receiver.under_way["till.example"] == FEW


# --- hosts --------------------------------------------------------------------------------------


@virtual()
async def test_a_host_that_answers_quickly_gets_more_at_once(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.seconds = {"till.example": 0.1}
    async with outbox(tmp_path, receiver, parallel_per_host=10) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(200)))
        await asyncio.sleep(0.05)
        assert receiver.under_way["till.example"] == FEW
        await asyncio.sleep(0.5)
        assert receiver.under_way["till.example"] == 10
        receiver.seconds = {"till.example": SLOW + 0.1}
        await asyncio.sleep(2 * SLOW)
        assert receiver.under_way["till.example"] == FEW
        for number in ids:
            await life.settled(number)
        assert receiver.most_under_way["till.example"] == 10


@virtual()
async def test_many_slow_hosts_leave_room_for_quick_ones(tmp_path: Path) -> None:
    """They answer with 200, each time after almost all of the patience that there is."""
    hosts = [f"slow-{each}.example" for each in range(PARALLEL)]
    receiver = Receiver()
    receiver.seconds = dict.fromkeys(hosts, 9.5)
    async with outbox(tmp_path, receiver) as life:
        await life.post(
            *(
                life.letter("slow", url=f"http://{host}/", transaction=f"{host} {each}")
                for host in hosts
                for each in range(50)
            )
        )
        await asyncio.sleep(60)  # every host has answered once
        for number in range(20):
            begin = now()
            (quick,) = await life.post(life.letter(transaction=str(number)))
            await life.settled(quick)
            assert now() - begin < 0.1
            await asyncio.sleep(1)


@virtual()
async def test_a_flood_to_quick_hosts_does_not_starve_those_that_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_PER_HOST", 100_000)
    failed: list[str] = []

    def answer(words: str) -> int:
        if "once" in words and not failed:
            failed.append(words)
            return 500
        return 200

    receiver = Receiver(answer)
    receiver.seconds = {"busy.example": 1.0}
    async with outbox(tmp_path, receiver, parallel=16, parallel_per_host=16) as life:
        flood = [
            life.letter("busy", url="http://busy.example/", transaction=str(each))
            for each in range(2000)
        ]
        number, *_ = await life.post(life.letter("once"), *flood)
        begin = now()
        letter = await life.settled(number)
        assert (letter.state, letter.tries) == (LetterState.DELIVERED, 2)
        assert now() - begin < 10
        assert receiver.under_way["busy.example"] > 0
