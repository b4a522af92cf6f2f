"""The encrypted blob of the held binding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.runner import virtual
from tests.unit.nexo.driver import poi
from tests.unit.nexo.driver.poi import Poi, Send, approve
from tests.unit.nexo.driver.till import Till, payment
from tillwire.core.model import Verdict
from tillwire.core.ports import CannotTell
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import Message, encryption
from tillwire.dialects.nexo.wire.encryption import Key
from tillwire.errors import AnswerLost, NotDelivered, Proof

KEY = Key("a long passphrase", "shop", 2)


class Sealed(Poi):
    """A terminal that hears and says nothing in clear."""

    def __init__(self, key: Key = KEY) -> None:
        super().__init__()
        self.key = key
        self.octets: list[bytes] = []

    async def hear(self, octets: bytes, send: Send) -> None:
        self.octets.append(octets)

        async def seal(said: Message | bytes) -> None:
            if isinstance(said, Message):
                nonce = bytes([len(self.octets)]) * encryption.NONCE
                said = encryption.seal(self.key, wire.encode(said), said.header, nonce)
            await send(said)

        await super().hear(encryption.open_([KEY], octets), seal)


def sealed_till(tmp_path: Path, there: Poi, passphrase: str = "a long passphrase\n") -> Till:
    file = tmp_path / "passphrase"
    file.write_text(passphrase)
    return Till(
        there,
        binding="held",
        tls=False,
        passphrase_file=str(file),
        key_identifier="shop",
        key_version=2,
    )


@virtual()
async def test_a_sealed_payment_is_approved(tmp_path: Path) -> None:
    there = Sealed()
    await poi.listen_held(there)
    counter = sealed_till(tmp_path, there)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert all(b"42.50" not in octets for octets in there.octets)
    nonces = {octets.partition(b'"Nonce":"')[2][:24] for octets in there.octets}
    assert len(nonces) == 2


class InClear(Sealed):
    """A terminal that hears what is sealed, and answers in clear."""

    async def hear(self, octets: bytes, send: Send) -> None:
        await Poi.hear(self, encryption.open_([KEY], octets), send)


@pytest.mark.parametrize("there", [InClear(), Sealed(Key("another passphrase", "shop", 2))])
@virtual()
async def test_an_answer_in_clear_or_under_another_key_is_not_believed(
    tmp_path: Path, there: Sealed
) -> None:
    await poi.listen_held(there)
    counter = sealed_till(tmp_path, there)
    with pytest.raises(AnswerLost):
        await counter.run(payment())
    found = await counter.driver.recover(counter.lost(payment()))
    assert isinstance(found, CannotTell)


@virtual()
async def test_a_rejection_in_clear_is_confirmed_like_any_other(tmp_path: Path) -> None:
    there = Sealed()
    await poi.listen_held(there)
    counter = sealed_till(tmp_path, there)

    async def reject_in_clear(_: Poi, message: Message, send: Send) -> None:
        said: list[Message | bytes] = []

        async def keep(words: Message | bytes) -> None:
            said.append(words)

        await poi.event("Reject")(there, message, keep)
        assert isinstance(said[0], Message)
        await send(wire.encode(said[0]))

    there.will("Payment", reject_in_clear, approve())
    with pytest.raises(NotDelivered) as failure:
        await counter.run(payment())
    assert failure.value.proof is Proof.REFUSED_BY_PEER
    assert len(there.of("TransactionStatus")) == 1


@pytest.mark.parametrize("passphrase", ["", "two\nlines", "\u20ac is not in ISO 8859-1"])
@virtual()
async def test_a_passphrase_that_cannot_be_used_is_a_proof(tmp_path: Path, passphrase: str) -> None:
    there = Sealed()
    await poi.listen_held(there)
    with pytest.raises(NotDelivered, match="passphrase"):
        await sealed_till(tmp_path, there, passphrase).run(payment())
    assert there.octets == []
