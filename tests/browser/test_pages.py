"""The pages serve everybody: on a phone, by keyboard, without scripts, in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import looks
from tests.kit.sandbox_process import SandboxProcess

START = "/"
DOCS = "/merchantapi/docs"
PHONE = 360
DESKTOP = 1280

every_page = pytest.mark.parametrize("path", [START, DOCS])


class Visit:
    """A page that was opened, and what it did meanwhile."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requested: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )


class Visitor:
    """Opens pages of the sandbox."""

    def __init__(self, browser: Browser, sandbox: SandboxProcess) -> None:
        self._browser = browser
        self.origin: str = sandbox.card["base_url"]

    @contextmanager
    def visit(
        self, path: str, *, width: int = DESKTOP, **options: Any
    ) -> Iterator[Visit]:  # Any: options of Playwright's contexts
        context = self._browser.new_context(viewport={"width": width, "height": 800}, **options)
        try:
            visit = Visit(context.new_page())
            answer = visit.page.goto(self.origin + path)
            assert answer is not None
            assert answer.status == 200
            yield visit
        finally:
            context.close()


@pytest.fixture(scope="module")
def visitor(chromium: Browser, sandbox: SandboxProcess) -> Visitor:
    return Visitor(chromium, sandbox)


@every_page
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_page_fits_the_width_of_the_screen(visitor: Visitor, path: str, width: int) -> None:
    with visitor.visit(path, width=width) as visit:
        assert visit.page.evaluate(looks.OVERFLOW) <= 0


@every_page
def test_a_page_says_what_it_is(visitor: Visitor, path: str) -> None:
    with visitor.visit(path) as visit:
        page = visit.page
        assert page.locator("html").get_attribute("lang") == "en"
        assert "tillwire" in page.title()
        assert page.locator("main").count() == 1
        assert page.locator("header h1").count() == 1
        levels = page.evaluate(looks.HEADINGS)
        assert levels.count(1) == 1
        assert all(deeper <= level + 1 for level, deeper in pairwise(levels)), levels


@every_page
def test_nothing_leaves_the_origin_and_nothing_complains(visitor: Visitor, path: str) -> None:
    with visitor.visit(path) as visit:
        visit.page.wait_for_load_state("networkidle")
        away = [url for url in visit.requested if not url.startswith(visitor.origin + "/")]
        assert visit.requested != []
        assert away == []
        assert visit.complaints == []


@every_page
def test_a_page_is_the_same_without_scripts(visitor: Visitor, path: str) -> None:
    with visitor.visit(path, java_script_enabled=False) as without, visitor.visit(path) as with_it:
        told = without.page.locator("body").inner_text()
        assert "tillwire" in told
        assert told == with_it.page.locator("body").inner_text()


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visitor: Visitor, path: str, scheme: str) -> None:
    with visitor.visit(path, color_scheme=scheme) as visit:
        contrasts = visit.page.evaluate(looks.CONTRASTS)
        assert len(contrasts) > 20
        weak = [each for each in contrasts if each["ratio"] < (3.0 if each["large"] else 4.5)]
        assert weak == []


@every_page
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_tab_goes_through_a_page_in_its_order_and_shows_where(
    visitor: Visitor, path: str, width: int
) -> None:
    with visitor.visit(path, width=width) as visit:
        expected = visit.page.evaluate(looks.FOCUSABLE)
        assert expected != []
        reached = []
        for _ in expected:
            visit.page.keyboard.press("Tab")
            focused = visit.page.evaluate(looks.FOCUSED)
            assert focused is not None
            assert focused["outlined"], focused
            assert focused["seen"], focused
            reached.append(focused["html"])
        assert reached == expected


def test_the_operations_can_be_skipped(visitor: Visitor) -> None:
    with visitor.visit(DOCS) as visit:
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**#content")
        assert visit.page.evaluate("document.activeElement.id") == "content"


def test_the_start_page_leads_to_how_to_use_it(visitor: Visitor) -> None:
    with visitor.visit(START) as visit:
        visit.page.get_by_role("link", name="How to use it").focus()
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url(f"**{DOCS}")
        visit.page.get_by_role("link", name="Cancel a transaction").click()
        assert visit.page.locator("#cancelTransaction").is_visible()
        assert visit.complaints == []


def test_the_start_page_says_that_payments_can_be_taken(visitor: Visitor) -> None:
    with visitor.visit(START) as visit:
        assert visit.page.get_by_role("region", name="Now").get_by_text("Ready.").is_visible()


def test_the_measure_of_contrast_is_right(chromium: Browser) -> None:
    with chromium.new_page() as page:
        page.set_content(
            "<body style='background: #fff; color: #767676'>a"
            "<p style='color: #777; opacity: 1'>b</p>"
            "<p style='background: #000; color: rgb(255 255 255 / 50%)'>c</p>"
        )
        ratios = {each["text"]: round(each["ratio"], 2) for each in page.evaluate(looks.CONTRASTS)}
    # The greys on either side of 4.5 that WCAG's own understanding document names.
    assert ratios["a"] == 4.54
    assert ratios["b"] == 4.48
    assert 5.2 < ratios["c"] < 5.4
