"""What terminals show during a transaction, told to the till that waits for it.

In memory alone: what was shown is nobody's evidence, comes often, and is worth nothing later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

Tell = Callable[[str], None]

LONGEST: Final = 2000
"""Characters of one text; a longer one is cut."""
MOST_LISTENERS: Final = 16
"""Of one transaction. The next one takes the place of the oldest."""


class Displays:
    """The latest text of each open transaction, and who listens."""

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._listeners: dict[str, list[Tell]] = {}

    def show(self, transaction_id: str, text: str) -> None:
        """The terminal shows this now."""
        self._latest[transaction_id] = text = text[:LONGEST]
        for tell in tuple(self._listeners.get(transaction_id, ())):
            guarded(tell)(text)

    def listen(self, transaction_id: str, tell: Tell) -> Callable[[], None]:
        """Hear of each text from now on, and at once of the latest; the result ends that."""
        listeners = self._listeners.setdefault(transaction_id, [])
        listeners.append(tell)
        del listeners[:-MOST_LISTENERS]
        if latest := self._latest.get(transaction_id):
            guarded(tell)(latest)

        def stop() -> None:
            if tell in listeners:
                listeners.remove(tell)

        return stop

    def forget(self, transaction_id: str) -> None:
        """The transaction has ended."""
        self._latest.pop(transaction_id, None)
        self._listeners.pop(transaction_id, None)


def guarded(tell: Tell) -> Tell:
    """The same, with its errors told to the event loop: who only listens stops no payment."""

    def tell_it(text: str) -> None:
        try:
            tell(text)
        except Exception as error:  # noqa: BLE001 - see above
            context = {"message": "Whoever listens to a display failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    return tell_it
