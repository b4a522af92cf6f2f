"""What is a proof that nothing was sent, and what is none: every cut, and every lateness."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.faults import Connect, Faults, Flow, Noticed, scripted
from tests.kit.messages import Fate, FaultyDialer, FaultyHttpClient, fates
from tests.kit.runner import run, virtual
from tests.kit.virtual_loop import VirtualLoop, virtual_loop
from tests.unit.net.peers import server_context
from tests.unit.nexo.driver.poi import PORT, Poi, listen_held, listen_tcp
from tests.unit.nexo.driver.till import Till, payment, till
from tillwire.clock import Instant
from tillwire.core.model import Evidence, Outcome, Verdict
from tillwire.core.ports import CannotTell, Dialer, Found
from tillwire.dialects.nexo.driver.dialling import RealNetwork
from tillwire.dialects.nexo.driver.lines import ClosableHttpClient
from tillwire.dialects.nexo.wire.framing import Frames
from tillwire.errors import AnswerLost, NotDelivered, Proof

SETTINGS: Final[dict[str, dict[str, Any]]] = {"tcp": {}, "held": {"tls": False}, "http": {}}
every_binding = pytest.mark.parametrize("binding", SETTINGS)
CERTIFICATES: Final = Path(__file__).parents[3] / "kit" / "certificates"


def faulty(*faults: Faults) -> None:
    """Let the first connections to the terminal suffer these."""
    virtual_loop().network.faults = scripted({PORT: faults})


async def ends(counter: Till) -> Outcome | NotDelivered | AnswerLost:
    """How a payment ends for the driver; after three minutes, it counts as lost."""
    try:
        async with asyncio.timeout(180):
            return await counter.run(payment())
    except (NotDelivered, AnswerLost) as failure:
        return failure
    except TimeoutError:
        return AnswerLost("It took too long.")


async def agree(counter: Till, ending: Outcome | NotDelivered | AnswerLost) -> None:
    """What the driver says, then and when it is asked again, must be what the terminal did."""
    charged = sum(counter.poi.charged.values())
    assert charged <= 1
    if isinstance(ending, Outcome):
        assert (ending.verdict is Verdict.APPROVED) is bool(charged)
        return
    if isinstance(ending, NotDelivered):
        assert not charged
        assert counter.poi.of("Payment") == []
    found = await counter.driver.recover(counter.lost(payment()))
    if charged:
        assert isinstance(found, Found)
        assert found.outcome.approved_amount == 4250
    else:
        assert isinstance(found, CannotTell), "a whole request may have been lost on its way"


LAST: Final = {"to_server": 900, "to_client": 1500}
"""More octets than the request or the answer has, HTTP's heads included."""


def cuts(binding: str, direction: str, noticed: Noticed) -> list[int]:
    """Every octet where that differs most, some where the binding or who notices is another."""
    everywhere = binding == "tcp" and noticed is Noticed.BOTH
    last = LAST[direction]
    return [*range(0, last, 1 if everywhere else 23), last - 1, last]


@pytest.mark.parametrize("noticed", Noticed)
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
@every_binding
def test_a_connection_that_is_cut_at_any_octet(
    binding: str, direction: str, noticed: Noticed
) -> None:
    async def scenario(cut: int) -> Outcome | NotDelivered | AnswerLost:
        counter = await till(binding, **SETTINGS[binding])
        faulty(Faults(**{direction: Flow(cut_after=cut, noticed=noticed)}))
        ending = await ends(counter)
        await agree(counter, ending)
        return ending

    endings = [run(scenario(cut), VirtualLoop()) for cut in cuts(binding, direction, noticed)]
    at_once = [isinstance(each, Outcome) and each.evidence is Evidence.ANSWER for each in endings]
    assert not at_once[0]
    assert at_once[-1], "the last cut is behind the last octet"


@every_binding
@virtual()
async def test_no_connection_is_a_proof(binding: str) -> None:
    for connect, proof in (
        (Connect.REFUSE, Proof.CONNECT_REFUSED),
        (Connect.SILENCE, Proof.NEVER_SENT),
    ):
        counter = Till(Poi(), binding=binding, **SETTINGS[binding])
        faulty(Faults(connect=connect))
        virtual_loop().network._numbers.clear()
        with pytest.raises(NotDelivered) as failure:
            await counter.run(payment())
        assert failure.value.proof is proof


# --- the last octet -------------------------------------------------------------------------------


class Wires:
    """A network whose connections keep what is written, and break at one of the writes."""

    def __init__(self, breaks_at: int | None = None, slow: float = 0.0, slow_at: int = 0) -> None:
        self.breaks_at = breaks_at
        self.slow = slow
        self.slow_at = slow_at
        self.written: list[bytes] = []
        self.closed = 0

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        return self

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        raise AssertionError

    async def connect(self, host: str, port: int, *, timeout: float) -> Wires:
        return self

    async def write(self, octets: bytes) -> None:
        if self.breaks_at == len(self.written):
            raise AnswerLost("It broke.")
        if self.slow_at == len(self.written):
            await asyncio.sleep(self.slow)
        self.written.append(octets)

    async def read(self, limit: int = 65536) -> bytes:
        return b""

    async def close(self) -> None:
        self.closed += 1


@virtual()
async def test_the_last_octet_goes_by_itself() -> None:
    wires = Wires()
    with pytest.raises(AnswerLost, match="closed the connection"):
        await Till(Poi(), wires).run(payment())
    first, last = wires.written
    (message,) = Frames().feed(first + last)
    assert message.startswith(b'{"SaleToPOIRequest":')
    assert (last, wires.closed) == (b"}", 1)


@virtual()
async def test_a_connection_that_breaks_before_the_last_octet_is_a_proof() -> None:
    wires = Wires(breaks_at=0)
    with pytest.raises(NotDelivered, match="before the request was whole") as failure:
        await Till(Poi(), wires).run(payment())
    assert (failure.value.proof, wires.closed) == (Proof.NEVER_SENT, 1)


@virtual()
async def test_a_connection_that_breaks_at_the_last_octet_is_no_proof() -> None:
    wires = Wires(breaks_at=1)
    with pytest.raises(AnswerLost):
        await Till(Poi(), wires).run(payment())


@virtual()
async def test_a_terminal_that_does_not_read_gets_no_last_octet() -> None:
    wires = Wires(slow=60.0)
    with pytest.raises(NotDelivered):
        await Till(Poi(), wires).run(payment())
    assert wires.written == []
    assert virtual_loop().time() == 5.0


@virtual()
async def test_an_abort_waits_until_its_request_is_whole() -> None:
    wires = Wires(slow=2.0, slow_at=1)
    counter = Till(Poi(), wires)
    running = asyncio.create_task(counter.run(payment()))
    await asyncio.sleep(1)
    await counter.driver.abort(payment())
    with pytest.raises(AnswerLost):
        await running
    first, last, abort = wires.written
    payment_message, abort_message = Frames().feed(first + last + abort)
    assert b'"PaymentRequest":' in payment_message
    assert b'"AbortRequest":' in abort_message


# --- late -----------------------------------------------------------------------------------------


@virtual()
async def test_the_last_octet_is_held_back_once_it_is_too_late() -> None:
    wires = Wires(slow=2.0)
    transaction = payment(send_by=Instant(virtual_loop().clock.now() + 1_999))
    with pytest.raises(NotDelivered, match="time to be sent"):
        await Till(Poi(), wires).run(transaction)
    assert len(wires.written) == 1


@every_binding
@virtual()
async def test_a_slow_connection_does_not_make_it_late(binding: str) -> None:
    counter = await till(binding, **SETTINGS[binding])
    faulty(Faults(connect_delay=3.0))
    transaction = payment(send_by=Instant(virtual_loop().clock.now() + 2_999))
    with pytest.raises(NotDelivered, match="time to be sent"):
        await counter.run(transaction)
    await asyncio.sleep(10)
    assert counter.poi.heard == []


@every_binding
@virtual()
async def test_it_is_sent_while_there_is_time(binding: str) -> None:
    counter = await till(binding, **SETTINGS[binding])
    faulty(Faults(connect_delay=3.0))
    transaction = payment(send_by=Instant(virtual_loop().clock.now() + 3_000))
    assert (await counter.run(transaction)).verdict is Verdict.APPROVED


# --- doubled, and taken away ----------------------------------------------------------------------


class Fateful:
    """A network whose first requests or connections meet these fates."""

    def __init__(self, *script: Fate) -> None:
        self._script = script
        self._fates = fates(*script)
        self._number = 0
        self.doubles: list[FaultyDialer | FaultyHttpClient] = []

    def _next(self, number: int) -> Fate:
        fate = self._fates(self._number)
        self._number += 1
        return fate

    def dialer(self, tls: ssl.SSLContext | None, server_name: str) -> Dialer:
        made = FaultyDialer(RealNetwork().dialer(tls, server_name), self._next)
        self.doubles.append(made)
        return made

    def http(self, tls: ssl.SSLContext | None, server_name: str) -> ClosableHttpClient:
        inner = RealNetwork().http(tls, server_name)
        made = FaultyHttpClient(inner, self._next)
        self.doubles.append(made)

        async def close() -> None:
            await made.settle()
            await inner.close()

        made.close = close  # type: ignore[attr-defined]  # a client of one line is closed
        return made  # type: ignore[return-value]  # it has `close` now


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_an_answer_that_was_taken_away_is_found_again(binding: str) -> None:
    counter = Till(Poi(), Fateful(Fate(answer_lost=True)), binding=binding, **SETTINGS[binding])
    await (listen_tcp if binding == "tcp" else listen_held)(counter.poi)
    ending = await ends(counter)
    assert isinstance(ending, AnswerLost)
    await agree(counter, ending)
    assert list(counter.poi.charged.values()) == [1]


# --- what is in files -----------------------------------------------------------------------------


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_tls_with_an_authority_of_our_own(binding: str) -> None:
    counter = Till(
        Poi(),
        binding=binding,
        tls=True,
        ca_file=str(CERTIFICATES / "ca.pem"),
        server_name="localhost",
    )
    context = server_context()
    await (listen_tcp if binding == "tcp" else listen_held)(counter.poi, tls=context)
    assert (await counter.run(payment())).verdict is Verdict.APPROVED
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@pytest.mark.parametrize("binding", ["tcp", "held"])
@virtual()
async def test_tls_with_the_terminals_own_certificate(binding: str, tmp_path: Path) -> None:
    pinned = tmp_path / "terminal.pem"
    pinned.write_text(certificate_of(CERTIFICATES / "server.pem"))
    counter = Till(Poi(), binding=binding, tls=True, ca_file=str(pinned), server_name="localhost")
    await (listen_tcp if binding == "tcp" else listen_held)(counter.poi, tls=server_context())
    assert (await counter.run(payment())).verdict is Verdict.APPROVED


@pytest.mark.parametrize("binding", ["tcp", "held"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ca_file": str(CERTIFICATES / "ca.pem"), "server_name": "stranger.example"},
        {"ca_file": "/nowhere/ca.pem"},
        {"ca_file": str(Path(__file__))},
        {"ca_file": "/dev/null"},
    ],
    ids=["authority unknown", "name of another", "no file", "no certificate", "empty"],
)
@virtual()
async def test_a_certificate_that_is_not_trusted_is_a_proof(
    binding: str, settings: dict[str, str]
) -> None:
    counter = Till(Poi(), binding=binding, tls=True, **settings)
    await (listen_tcp if binding == "tcp" else listen_held)(counter.poi, tls=server_context())
    ending = await ends(counter)
    assert isinstance(ending, NotDelivered)
    assert counter.poi.heard == []


def certificate_of(path: Path) -> str:
    """The certificate without its key."""
    text = path.read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    return text[begin : text.index("-----END CERTIFICATE-----") + 26]
