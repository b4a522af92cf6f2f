"""Draws the diagram in docs/states.md from the transition table.

`.venv/bin/python -m tests.unit.state_diagram` redraws it; a test fails when it is not current.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tillwire.core.model import FINAL_STATES, State
from tillwire.core.states import TABLE

PAGE: Final = Path(__file__).parents[2] / "docs" / "states.md"
_BEGIN: Final = "<!-- drawn from core/states.py -->\n"
_END: Final = "<!-- end of drawing -->\n"


def diagram() -> str:
    """The transition table as a Mermaid diagram; events of the same move share an arrow."""
    arrows: dict[tuple[State | None, State], list[str]] = {}
    for (before, event), then in TABLE.items():
        arrows.setdefault((before, then), []).append(event.value)
    lines = ["stateDiagram-v2"]
    for (before, then), events in arrows.items():
        lines.append(f"    {before or '[*]'} --> {then}: {', '.join(events)}")
    lines += [f"    {state} --> [*]" for state in State if state in FINAL_STATES]
    return "\n".join(lines)


def table() -> str:
    """The transition table as a Markdown table, row by row in its own order."""
    rows = [f"| {before or '–'} | {event} | {then} |" for (before, event), then in TABLE.items()]
    return "\n".join(["| from | event | to |", "|---|---|---|", *rows])


def drawn(text: str) -> str:
    """The page's text with diagram and table as they are now."""
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    assert begin, "the page says where the drawing begins"
    assert end, "the page says where the drawing ends"
    return f"{head}{begin}\n```mermaid\n{diagram()}\n```\n\n{table()}\n\n{end}{tail}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
