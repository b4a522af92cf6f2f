"""What registers and clouds may write, for property tests."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from tillwire.dialects.smartconnect.wire import cuts
from tillwire.dialects.smartconnect.wire.pairing import Registration

VISA: Final = "4111111111111111"
"""A card number that everybody knows, for tests alone."""

_PLAIN: Final = st.characters(
    codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"
)


def names(*, least: int = 1, most: int = 40) -> st.SearchStrategy[str]:
    """What a register may call something."""
    texts = st.text(_PLAIN, min_size=least, max_size=most)
    return texts.filter(lambda text: not cuts.holds_card(text))


def registrations() -> st.SearchStrategy[Registration]:
    """Who a register may be."""
    return st.builds(Registration, names(), names(), names())
