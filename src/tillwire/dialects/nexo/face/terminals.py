"""Which terminal a POIID means."""

from __future__ import annotations

from collections import Counter

from tillwire.core.engine import Engine
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Terminal
from tillwire.dialects.nexo.face.settings import Settings


class Terminals:
    """The terminals of one face, by POIID."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._seen: Estate | None = None
        self._known: dict[str, Terminal] = {}

    def of(self, poi_id: str) -> Terminal | None:
        """The terminal of this POIID, if the face serves it."""
        estate = self._engine.estate
        if estate is not self._seen:
            self._known, self._seen = self._named(estate), estate
        return self._known.get(poi_id)

    def _named(self, estate: Estate) -> dict[str, Terminal]:
        organisation = self._settings.organisation
        if self._settings.terminals:
            named = {
                poi_id: estate.terminal_named(organisation, name)
                for poi_id, name in self._settings.terminals.items()
            }
            return {poi_id: terminal for poi_id, terminal in named.items() if terminal is not None}
        terminals = [each for each in estate.terminals_of(organisation) if each.serial]
        count = Counter(poi_id_of(each) for each in terminals)
        # Two makers may use the same model and serial: such a name means neither of them.
        return {poi_id_of(each): each for each in terminals if count[poi_id_of(each)] == 1}


def poi_id_of(terminal: Terminal) -> str:
    """The POIID of a terminal that the settings do not name."""
    return f"{terminal.model}-{terminal.serial}"
