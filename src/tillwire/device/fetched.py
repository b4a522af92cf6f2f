"""Who fetched a transaction, and whether whoever polls now still remembers it.

A terminal charges an id at most once as long as it has its memory. So a transaction that one memory
has fetched is never handed to another: not after a restart without memory (another boot number),
and not to the device that took the place of the one that fetched it.
"""

from __future__ import annotations

from tillwire.core.estate_model import Terminal
from tillwire.core.model import State, Transaction


def marks_of(terminal: Terminal, boot: int | None) -> dict[str, str]:
    """What is journaled of whoever fetches."""
    marks = {"serial": terminal.serial}
    if boot is not None:
        marks["boot"] = str(boot)
    return marks


def why_forgotten(terminal: Terminal, boot: int | None, offered: Transaction) -> str:
    """Why whoever polls cannot remember that the transaction was fetched; empty if it can, or if
    it was not fetched at all."""
    if offered.state is State.ACCEPTED:
        return ""
    serial = offered.peer.get("serial", terminal.serial)
    if serial.casefold() != terminal.serial.casefold():
        return f"The device {serial} fetched the transaction, and {terminal.serial} is there now."
    fetched = offered.peer.get("boot")
    if boot is None or fetched == str(boot):
        return ""
    return (
        f"The terminal has restarted: it was at boot {fetched or 'unknown'} when it fetched the "
        f"transaction, and is at boot {boot} now."
    )
