"""The sandbox's ECR17 lane: where it listens, and how the card names it."""

from __future__ import annotations

from typing import Final

from tillwire.config import FaceSettings, ListenerSettings
from tillwire.dialects.ecr17.wire import Lrc
from tillwire.sandbox.card import Ecr17
from tillwire.sandbox.virtual_estate import ECR17_TERMINAL, SHOP

LANE: Final = "ecr17"
"""The face, and the listener that it has to itself: at the base port plus 4."""
_LRC: Final = Lrc.STX


def listener(base: int) -> ListenerSettings:
    """The lane's; on a free port when `base` is 0."""
    told = {"organisation": SHOP.id, "terminal": ECR17_TERMINAL.name, "lrc": _LRC.value}
    face = FaceSettings(name=LANE, settings=told)
    return ListenerSettings(name=LANE, port=base and base + 4, faces=(face,))


def member(port: int) -> Ecr17:
    """What the card says of it."""
    return Ecr17("127.0.0.1", port, ECR17_TERMINAL.tid, _LRC.value)
