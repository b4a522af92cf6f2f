"""QR codes on the console (segno): for links that a phone's camera opens."""

from __future__ import annotations

from typing import Final

import segno

from tillwire.cli.output import remark

_BORDER: Final = 2
"""Light modules around a code; a dark screen's own edge adds to them."""
_HALVES: Final = {
    (False, False): "\u2588",
    (False, True): "\u2580",
    (True, False): "\u2584",
    (True, True): " ",
}
"""Dark above, dark below -> a character."""


def code_of(text: str) -> segno.QRCode:
    """The text as a code."""
    return segno.make(text, micro=False)


def remark_code(code: segno.QRCode) -> None:
    """Show it to whoever sits at the console."""
    for line in _drawn([bytes(row) for row in code.matrix_iter(border=_BORDER)]):
        remark(line)


def _drawn(rows: list[bytes]) -> list[str]:
    """Two rows of modules in one line, with the light ones drawn: for dark screens."""
    if len(rows) % 2:
        rows = [*rows, bytes(len(rows[0]))]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [
        "".join(_HALVES[bool(a), bool(b)] for a, b in zip(*pair, strict=True)) for pair in pairs
    ]
