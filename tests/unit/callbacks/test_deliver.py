"""Letters are delivered at least once, in order, and no host delays another's."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.kit.runner import virtual
from tests.unit.callbacks.outbox import PAUSES, Receiver, long_ago, outbox
from tillwire.callbacks import rounds
from tillwire.callbacks.deliver import LOOK_EVERY, SLOW
from tillwire.core.letters import KEPT_FOR, Letter, LetterState, send_again
from tillwire.errors import AnswerLost, JournalBusy, NotDelivered, NotFound, Proof


@virtual()
async def test_a_letter_is_delivered_at_once_with_its_headers(tmp_path: Path) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        headers = {"Authorization": "Bearer s3cret", "Host": "inside", "content-length": "1"}
        (number,) = await life.post(life.letter(headers=headers))
        letter = await life.settled(number)
        assert letter.state is LetterState.DELIVERED
        assert (letter.tries, letter.trouble) == (1, "")
        assert receiver.words() == ["till.example told"]
        assert receiver.heard[0][0] < 1
        wanted = {"Content-Type": "application/json", "Authorization": "Bearer s3cret"}
        assert receiver.headers == [wanted]
        assert life.delivery.waiting == 0


@virtual()
async def test_a_letter_may_be_compressed(tmp_path: Path) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter(gzip=True, headers={"content-type": "text/x"}))
        await life.settled(number)
        assert receiver.headers == [{"content-type": "text/x", "Content-Encoding": "gzip"}]
        body = receiver.words()[0].removeprefix("till.example ").encode("latin-1")
        assert gzip.decompress(body) == b"told"


@virtual()
async def test_what_fails_is_sent_again_after_its_pauses_and_then_given_up(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: 500)
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter())
        letter = await life.settled(number)
        assert letter.state is LetterState.GIVEN_UP
        assert (letter.tries, letter.trouble) == (4, "It answered 500.")
        begin = receiver.heard[0][0]
        assert [round(at - begin) for at, _ in receiver.heard] == [0, 2, 12, 72]
        assert len(PAUSES) == 3
        await asyncio.sleep(86_400)
        assert len(receiver.heard) == 4


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (404, "It answered 404."),
        (301, "It answered 301."),
        (204, "It answered 204."),
        (NotDelivered("http://till.example/s3cret", Proof.CONNECT_REFUSED), "was refused"),
        (NotDelivered("http://till.example/s3cret: no."), "There was no connection."),
        (AnswerLost("http://till.example/s3cret: reset."), "did not answer as a whole"),
        (ZeroDivisionError("http://till.example/s3cret"), "could not be sent (ZeroDivisionError)"),
    ],
)
@virtual()
async def test_only_200_counts_for_a_callback_and_no_trouble_tells_the_address(
    tmp_path: Path, answer: int | Exception, trouble: str
) -> None:
    async with outbox(tmp_path, Receiver(lambda _: answer)) as life:
        (number,) = await life.post(life.letter(url="http://till.example/s3cret", pauses=()))
        letter = await life.settled(number)
        assert letter.state is LetterState.GIVEN_UP
        assert trouble in letter.trouble
        assert "s3cret" not in letter.trouble


@virtual()
async def test_a_hook_is_content_with_any_success_and_not_told_when_it_is_gone(
    tmp_path: Path,
) -> None:
    receiver = Receiver(lambda _: 204)

    def wanted(letter: Letter) -> bool:
        return letter.channel != "hook:gone"

    async with outbox(tmp_path, receiver, wanted=wanted) as life:
        told, gone = await life.post(
            life.letter("told", channel="hook:1"), life.letter("gone", channel="hook:gone")
        )
        assert (await life.settled(told)).state is LetterState.DELIVERED
        letter = await life.settled(gone)
        assert (letter.state, letter.tries) == (LetterState.GIVEN_UP, 0)
        assert receiver.words() == ["till.example told"]


@virtual()
async def test_first_tries_of_a_transaction_go_out_in_their_order(tmp_path: Path) -> None:
    """Also when the first one takes long, fails and is sent again while the others go out."""
    failed: list[str] = []

    def answer(words: str) -> int:
        if words.endswith("first") and not failed:
            failed.append(words)
            return 503
        return 200

    receiver = Receiver(answer)
    async with outbox(tmp_path, receiver) as life:
        letters = [life.letter(f"{each} first" if each == 0 else f"{each}") for each in range(20)]
        ids = await life.post(*letters)
        for number in ids:
            await life.settled(number)
        bodies = [words.split(" ", 1)[1] for words in receiver.words()]
        assert bodies == ["0 first", *map(str, range(1, 20)), "0 first"]
        assert receiver.most_under_way == {"till.example": 1}


@virtual()
async def test_letters_to_a_dead_host_do_not_delay_others(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.seconds = {"dead.example": 3600.0, "slow.example": SLOW + 0.5}
    async with outbox(tmp_path, receiver) as life:
        dead = [
            life.letter("dead", url="http://dead.example/", transaction=f"d{each}")
            for each in range(1000)
        ]
        await life.post(*dead)
        await asyncio.sleep(0.5)
        for number in range(50):
            begin = asyncio.get_running_loop().time()
            (alive,) = await life.post(life.letter(transaction=f"a{number}"))
            assert (await life.settled(alive)).state is LetterState.DELIVERED
            assert asyncio.get_running_loop().time() - begin < 0.1
            await asyncio.sleep(1)
        assert receiver.most_under_way["dead.example"] == 4
        slow = [
            life.letter("slow", url="http://slow.example/", transaction=f"s{each}")
            for each in range(40)
        ]
        begin = asyncio.get_running_loop().time()
        for number in await life.post(*slow):
            await life.settled(number)
        assert asyncio.get_running_loop().time() - begin < 21
        assert receiver.most_under_way["slow.example"] == 4


@virtual()
async def test_nobody_delays_anothers_letters_by_naming_the_others_host(tmp_path: Path) -> None:
    receiver = Receiver()
    hangs = ("http://till.example/hangs", "http://till.example:81/")
    receiver.seconds = dict.fromkeys(hangs, 3600.0)
    async with outbox(tmp_path, receiver) as life:
        hanging = [
            life.letter(url=url, transaction=f"{whose}{url}{each}", organisation_id=whose)
            for url, whose in ((hangs[0], "stranger"), (hangs[1], "stranger"), (hangs[1], "shop"))
            for each in range(100)
        ]
        await life.post(*hanging)
        await asyncio.sleep(30)
        begin = asyncio.get_running_loop().time()
        (mine,) = await life.post(life.letter(url="http://till.example/"))
        assert (await life.settled(mine)).state is LetterState.DELIVERED
        assert asyncio.get_running_loop().time() - begin < 0.1


@virtual()
async def test_many_dead_hosts_leave_room_for_those_that_answer(tmp_path: Path) -> None:
    hosts = [f"dead-{each}.example" for each in range(100)]
    receiver = Receiver()
    receiver.seconds = dict.fromkeys(hosts, 3600.0)
    async with outbox(tmp_path, receiver, parallel=8) as life:
        await life.post(
            *(
                life.letter("dead", url=f"http://{host}/", transaction=host, pauses=(1.0,) * 50)
                for host in hosts
            )
        )
        await asyncio.sleep(150)  # every host has failed once
        begin = asyncio.get_running_loop().time()
        (alive,) = await life.post(life.letter())
        await life.settled(alive)
        assert asyncio.get_running_loop().time() - begin < 0.1
        assert sum(receiver.under_way.values()) <= 4


@virtual()
async def test_what_was_committed_before_a_death_is_sent_at_the_next_start(tmp_path: Path) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        ids = await life.post(*(life.letter(str(each)) for each in range(3)))
    assert receiver.words() == []
    async with outbox(tmp_path, receiver) as life:
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
    assert receiver.words() == [f"till.example {each}" for each in range(3)]


@virtual()
async def test_what_was_sent_and_not_settled_is_sent_again_in_its_order(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.seconds = {"till.example": 5.0}
    async with outbox(tmp_path, receiver) as life:
        ids = await life.post(life.letter("first"), life.letter("second"))
        await asyncio.sleep(1)
    assert receiver.words() == ["till.example first"]
    receiver.seconds = {}
    async with outbox(tmp_path, receiver) as life:
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
    assert receiver.words()[1:] == ["till.example first", "till.example second"]


@virtual()
async def test_tries_and_pauses_go_on_after_a_restart(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: 500)
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter())
        await asyncio.sleep(5)
        assert (await life.found(number)).tries == 2
    async with outbox(tmp_path, receiver) as life:
        letter = await life.settled(number)
    begin = receiver.heard[0][0]
    assert letter.tries == 4
    assert [round(at - begin) for at, _ in receiver.heard] == [0, 2, 12, 72]


@virtual()
async def test_a_journal_that_fails_costs_neither_a_letter_nor_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter())
        commit, failures = life.journal.commit, [JournalBusy("busy")] * 3

        async def failing(work: Callable[..., object]) -> object:
            if failures:
                raise failures.pop()
            return await commit(work)

        monkeypatch.setattr(life.journal, "commit", failing)
        assert (await life.settled(number)).state is LetterState.DELIVERED
        assert not failures
        assert len(receiver.heard) == 1


@virtual()
async def test_a_person_sends_a_letter_again_beside_the_gateway(tmp_path: Path) -> None:
    """Another program commits it, so nobody tells the delivery."""
    answers = [200, 500]
    receiver = Receiver(lambda _: answers.pop())
    async with outbox(tmp_path, receiver) as life:
        (number,) = await life.post(life.letter(pauses=()))
        assert (await life.settled(number)).state is LetterState.GIVEN_UP
        now = life.clock.now()
        again = await life.journal.commit(lambda unit: send_again(unit, number, now))
        assert again > number
        letter = await life.settled(again, within=LOOK_EVERY + 1)
        assert (letter.state, letter.tries) == (LetterState.DELIVERED, 1)
        with pytest.raises(NotFound):
            await life.journal.commit(lambda unit: send_again(unit, number, now))


@virtual()
async def test_letters_are_kept_for_thirty_days(tmp_path: Path) -> None:
    assert KEPT_FOR == 30 * 86_400
    async with outbox(tmp_path, Receiver()) as life:
        fresh = life.letter("fresh")
        old = msgspec.structs.replace(fresh, created_at=long_ago(fresh, 31))
        young = msgspec.structs.replace(fresh, created_at=long_ago(fresh, 29))
        ids = await life.post(*[old] * 600, young, fresh)
        await life.settled(ids[-1])
        await asyncio.sleep(3700)
        left = await life.journal.read(lambda reader: reader.letters_on("callback", 1000))
        assert [each.id for each in left] == [ids[-1], ids[-2]]
        await asyncio.sleep(86_400)
        left = await life.journal.read(lambda reader: reader.letters_on("callback", 1000))
        assert [each.id for each in left] == [ids[-1]]


@virtual()
async def test_what_no_key_opens_waits_for_the_right_one(tmp_path: Path) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver, start=False) as life:
        (number,) = await life.post(life.letter("sealed"))
    key = tmp_path / "journal.db.key"
    key.rename(tmp_path / "mislaid")
    async with outbox(tmp_path, receiver) as life:
        await asyncio.sleep(60)
        assert (await life.found(number)).state is LetterState.WAITING
        # A new key is made for what comes now, and the old letter goes on waiting.
        (other,) = await life.post(life.letter("new"))
        assert (await life.settled(other)).state is LetterState.DELIVERED
        assert (await life.found(number)).tries == 0
    (tmp_path / "mislaid").replace(key)
    async with outbox(tmp_path, receiver) as life:
        assert (await life.settled(number)).state is LetterState.DELIVERED
    assert receiver.words() == ["till.example new", "till.example sealed"]


@virtual()
async def test_too_many_letters_for_one_host_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_PER_HOST", 5)
    receiver = Receiver()
    receiver.seconds = {"till.example": 3600.0}
    async with outbox(tmp_path, receiver) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(8)))
        await asyncio.sleep(1)
        states = [(await life.found(each)).state for each in ids]
        assert states == [LetterState.WAITING] * 5 + [LetterState.GIVEN_UP] * 3
        assert life.delivery.waiting == 5


@virtual()
async def test_more_than_fits_into_memory_is_read_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST", 10)
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        ids = await life.post(*(life.letter(transaction=str(each)) for each in range(500)))
        for number in ids:
            assert (await life.settled(number)).state is LetterState.DELIVERED
        assert len(receiver.heard) == 500


@virtual()
async def test_a_clock_that_is_set_back_delays_no_first_try(tmp_path: Path) -> None:
    receiver = Receiver()
    async with outbox(tmp_path, receiver) as life:
        later = life.clock.now() + 3_600_000
        (number,) = await life.post(life.letter(created_at=later, due_at=later))
        await life.settled(number, within=1)


@virtual()
async def test_an_address_that_is_none_holds_up_nobody(tmp_path: Path) -> None:
    receiver = Receiver(lambda words: 200 if "told" in words else 500)
    async with outbox(tmp_path, receiver) as life:
        odd = [life.letter("odd", url=url, transaction=url) for url in ("http://[::1", "//", "x")]
        ids = await life.post(*odd, life.letter("told"))
        assert (await life.settled(ids[-1], within=1)).state is LetterState.DELIVERED
        for number in ids[:-1]:
            assert (await life.settled(number)).state is LetterState.GIVEN_UP


@virtual()
async def test_what_becomes_of_letters_is_counted(tmp_path: Path) -> None:
    receiver = Receiver(lambda words: 500 if "bad" in words else 200)
    async with outbox(tmp_path, receiver) as life:
        ids = await life.post(
            life.letter("good"), life.letter("bad", channel="hook:1", pauses=(30.0,))
        )
        for number in ids:
            await life.settled(number)
    counted = life.counted
    assert counted[0][:2] == ("callback", LetterState.DELIVERED)
    assert counted[1][:2] == ("hook", LetterState.GIVEN_UP)
    assert 30 <= counted[1][2] < 31
