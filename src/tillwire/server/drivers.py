"""Which driver reaches a terminal: chosen by the name in the estate, kept while the terminal is
unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tillwire.core.estate_model import Terminal
from tillwire.core.ports import Driver
from tillwire.errors import Unsupported

Build = Callable[[Terminal], Driver]


class Drivers:
    """Implements the engine's `DriverOf`. Drivers keep no state, so a terminal that was changed
    simply gets a new one."""

    def __init__(self, kinds: Mapping[str, Build]) -> None:
        """`kinds` are the drivers there are, by name."""
        self._kinds = kinds
        self._built: dict[str, tuple[Terminal, Driver]] = {}

    def __call__(self, terminal: Terminal) -> Driver:
        """The terminal's driver. Raises `Unsupported` when its name is not known here."""
        known = self._built.get(terminal.id)
        if known is not None and known[0] is terminal:
            return known[1]
        build = self._kinds.get(terminal.driver)
        if build is None:
            names = ", ".join(sorted(self._kinds))
            raise Unsupported(
                f"The terminal {terminal.name} names the driver {terminal.driver!r}; "
                f"this gateway has: {names}."
            )
        driver = known[1] if known is not None and known[0] == terminal else build(terminal)
        self._built[terminal.id] = terminal, driver
        return driver
