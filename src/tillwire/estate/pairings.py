"""Pairing: a terminal shows a code, a register enters it, and pays on that terminal from then on.

A register has one terminal at most: pairing it again moves it. A terminal may serve several
registers. A code is good for one pairing and a limited time. It has eight digits, so only a keyed
digest of it is kept, and whoever serves registers has to slow down those who try codes.

Each function works within one unit of work, on the estate as it stands there.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Lifecycle, PairingCode, Register, Terminal
from tillwire.core.ports import Clock, Unit, Vault
from tillwire.errors import Conflict, NotFound

CODE_DIGITS: Final = 8
CODE_SECONDS: Final = 120
"""How long a code lives unless it is made for longer."""
SHORTEST_LIFE: Final = 30
LONGEST_LIFE: Final = 86_400
"""Seconds."""
MOST_AT_TERMINAL: Final = 100
"""Registers that are paired with one terminal at once."""
CAUSE: Final = (
    "Two tills that use one register id unpair each other, and can pay on each other's terminal: "
    "give each its own id, and pair it again."
)
"""What it means that a register is used from two places, in the same words wherever it is said
(source 002)."""

_PURPOSE: Final = "pairing codes"
_CANDIDATES: Final = 8
"""Codes of which one will not be in use."""


class WrongCode(NotFound):
    """The pairing code is not valid."""


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """A register that enters a code."""

    organisation_id: str
    """Of the face that it talks to: codes of other organisations' terminals do not exist there."""
    dialect: str
    register_id: str
    business_name: str
    vendor_name: str
    name: str
    detail: dict[str, str] = {}
    place: str = ""
    """From where it comes."""


class Codes:
    """Codes under the key of one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def digest(self, code: str) -> bytes:
        """Under which a code is kept. Raises `JournalError` when there can be no key."""
        key = self._vault.derive(_PURPOSE)
        return hmac.digest(key, code.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def drawn(self, clock: Clock) -> Sequence[tuple[str, bytes]]:
        """Codes that a terminal might show, each with its digest. Raises `JournalError`."""
        codes = (clock.random_digits(CODE_DIGITS) for _ in range(_CANDIDATES))
        return [(code, self.digest(code)) for code in codes]


def show_code(
    unit: Unit,
    terminal_id: str,
    drawn: Sequence[tuple[str, bytes]],
    now: Instant,
    seconds: float | None = CODE_SECONDS,
) -> tuple[str, PairingCode]:
    """A new code for the terminal, in place of the one that it showed before; `seconds` is how
    long it lives, None: until it is used. Raises `NotFound`, `Conflict` (it is not ACTIVATED)."""
    _active(unit.estate(), terminal_id)
    unit.drop_pairing_codes(terminal_id, now)
    for code, digest in drawn:
        if unit.pairing_code(digest) is None:
            made = PairingCode(
                digest=digest,
                terminal_id=terminal_id,
                created_at=now,
                expires_at=None if seconds is None else Instant(now + round(seconds * 1000)),
            )
            unit.put_pairing_code(made)
            return code, made
    raise Conflict("All codes that were drawn are in use: try again.")


def pair(unit: Unit, digest: bytes, newcomer: Newcomer, now: Instant) -> tuple[Register, str]:
    """The register, paired with the terminal that shows the code, and the id of the terminal that
    it had before (empty: none). The code is used up. Raises `WrongCode`, `Conflict`."""
    code = unit.pairing_code(digest)
    # Before the estate is read: whoever tries codes shall not have us do that each time.
    if code is None or (code.expires_at is not None and now >= code.expires_at):
        raise WrongCode
    estate = unit.estate()
    terminal = _showing(estate, code, newcomer.organisation_id)
    before = estate.register(
        newcomer.organisation_id, newcomer.dialect, newcomer.vendor_name, newcomer.register_id
    )
    former = (before.terminal_id if before else None) or ""
    others = [each for each in estate.registers_at(terminal.id) if not before or each != before]
    if len(others) >= MOST_AT_TERMINAL:
        raise Conflict(f"{MOST_AT_TERMINAL} registers are paired with the terminal already.")
    unit.drop_pairing_code(digest)
    made = Register(
        id=before.id if before else _new_id(newcomer),
        organisation_id=newcomer.organisation_id,
        dialect=newcomer.dialect,
        register_id=newcomer.register_id,
        business_name=newcomer.business_name,
        vendor_name=newcomer.vendor_name,
        name=newcomer.name,
        terminal_id=terminal.id,
        paired_at=now,
        last_seen_at=now,
        last_seen_from=newcomer.place,
        clashed_at=before.clashed_at if before else None,
        clashed_with=before.clashed_with if before else "",
        clashes=before.clashes if before else 0,
        detail=newcomer.detail,
    )
    unit.put(made)
    return made, former


def unpair(unit: Unit, register_id: str, now: Instant) -> Register:
    """The register (by its `Register.id`) without a terminal. Raises `NotFound`, `Conflict`."""
    known = unit.estate().registers.get(register_id)
    if known is None:
        raise NotFound(f"No register {register_id[:100]}.")
    if not known.is_paired:
        raise Conflict(f"Register {known.register_id} is not paired.")
    after = msgspec.structs.replace(known, terminal_id=None, unpaired_at=now)
    unit.put(after)
    return after


def unpair_all(unit: Unit, terminal_id: str, now: Instant) -> list[Register]:
    """The terminal's registers, each without it from now on, and its code is worth nothing."""
    unit.drop_pairing_codes(terminal_id, now)
    return [unpair(unit, each.id, now) for each in unit.estate().registers_at(terminal_id)]


def _showing(estate: Estate, code: PairingCode, organisation_id: str) -> Terminal:
    """The terminal that shows the code. Raises `WrongCode` when it cannot be paired any more, or
    belongs to somebody else."""
    terminal = estate.terminals.get(code.terminal_id)
    if (
        terminal is None
        or terminal.organisation_id != organisation_id
        or terminal.lifecycle is not Lifecycle.ACTIVATED
    ):
        raise WrongCode
    return terminal


def _active(estate: Estate, terminal_id: str) -> Terminal:
    found = estate.terminals.get(terminal_id)
    if found is None:
        raise NotFound(f"No terminal {terminal_id}.")
    if found.lifecycle is not Lifecycle.ACTIVATED:
        raise Conflict(f"Terminal {found.name} is {found.lifecycle}, not ACTIVATED.")
    return found


_REGISTERS: Final = uuid.UUID("4d0d8f2e-6f3c-5b7e-9c58-0c8d4f2a7b11")
"""The name space of registers' ids."""


def _new_id(newcomer: Newcomer) -> str:
    """An id that follows from what the register is unique by."""
    parts = (
        newcomer.organisation_id,
        newcomer.dialect,
        newcomer.vendor_name,
        newcomer.register_id,
    )
    return str(uuid.uuid5(_REGISTERS, msgspec.json.encode(parts).decode()))
