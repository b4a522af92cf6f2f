"""A terminal's settings, as its driver understands them. What settings there are, and which fit
together, is each driver's own."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from tillwire.core.estate_model import Terminal
from tillwire.errors import ConfigurationError

S = TypeVar("S", bound=msgspec.Struct)


def settings_of(terminal: Terminal, kind: type[S]) -> S:
    """What the estate says of the terminal, as these settings. Raises `ConfigurationError`, which
    names the terminal and the setting, when it does not fit."""
    try:
        return msgspec.convert(terminal.settings, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The settings of {terminal.name}: {error}.") from None
