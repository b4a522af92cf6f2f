"""How the protocol spells what we call by Python's names: `poi_id` is `POIID`.

A key of nexo is words in capitals, abbreviations throughout. An attribute is the same words, lower
case, with underscores between them.
"""

from __future__ import annotations

from typing import Final

ABBREVIATIONS: Final = frozenset(
    {"apdu", "atr", "icc", "id", "ok", "pan", "ped", "pin", "poi", "rrn", "stan", "xhtml"}
)
"""Words that nexo writes in capitals throughout."""


def key(attribute: str) -> str:
    """The protocol's key of an attribute: `masked_pan` is `MaskedPAN`."""
    return "".join(
        word.upper() if word in ABBREVIATIONS else word.capitalize()
        for word in attribute.split("_")
    )
