"""The report of a reconciliation shows all its columns to everybody: on a phone, on paper, in the
dark, without scripts, whatever the compared files wrote into their texts."""

from __future__ import annotations

from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, ViewportSize

from tests.browser import looks
from tests.unit.reconcile.books import compared, row
from tillwire.reconcile.reports import html

PHONE: Final[ViewportSize] = {"width": 360, "height": 800}
PAPER: Final[ViewportSize] = {"width": 718, "height": 1050}
"""A4 between its margins, at 96 dots to the inch."""
DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 900}

ASKEW: Final = r"""
() => [...document.querySelectorAll("th, td")]
  .filter(each => each.parentElement.getBoundingClientRect().width > 1)  // shown to eyes
  .filter(each => {
    const {left, right, width} = each.getBoundingClientRect();
    return width > 0 && (left < 0 || right > document.documentElement.clientWidth + 1);
  })
  .map(each => each.textContent.trim().slice(0, 40))
"""
"""Cells that are not wholly between the edges."""


@pytest.fixture(scope="module")
def report() -> str:
    """A page with differences of three sides, and with texts that mean no good."""
    long = "W" * 3000
    hostile = "<img src=x onerror=document.title='hacked'>"
    return html(
        compared(
            [row(1, reference=hostile), row(2, reference=long), row(4, reference="שלום")],
            [row(1, reference=hostile, amount="1.00"), row(3, transaction_id="", reference=long)],
            [row(1, reference=hostile), row(2, reference=long, amount="123456789.00")],
        )
    )


@pytest.mark.parametrize(
    ("media", "screen"), [("screen", PHONE), ("screen", DESKTOP), ("print", PAPER)]
)
def test_every_column_is_between_the_edges(
    chromium: Browser,
    report: str,
    media: Literal["print", "screen"],
    screen: ViewportSize,
) -> None:
    with chromium.new_page(viewport=screen) as page:
        page.emulate_media(media=media)
        page.set_content(report)
        assert page.evaluate(ASKEW) == []
        assert page.evaluate(looks.OVERFLOW) <= 0
        assert page.get_by_text("PURCHASE 1.00 EUR APPROVED").is_visible()
        for side in ("gateway", "till", "acquirer"):
            assert side in page.locator("main").inner_text()


def test_a_text_without_end_is_cut(chromium: Browser, report: str) -> None:
    with chromium.new_page(viewport=PHONE) as page:
        page.set_content(report)
        assert page.title().startswith("Reconciliation")
        assert "W" * 200 not in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    chromium: Browser,
    report: str,
    scheme: Literal["light", "dark"],
) -> None:
    with chromium.new_page(color_scheme=scheme, viewport=DESKTOP) as page:
        page.set_content(report)
        contrasts = page.evaluate(looks.CONTRASTS)
        assert len(contrasts) > 20
        assert [each for each in contrasts if each["ratio"] < (3.0 if each["large"] else 4.5)] == []


def test_paper_is_white_in_the_dark(chromium: Browser, report: str) -> None:
    with chromium.new_page(color_scheme="dark", viewport=PAPER) as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.set_content(report)
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 27, 27)"
