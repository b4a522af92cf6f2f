"""A sandbox, and the system's Chromium to look at its pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.kit.sandbox_process import SandboxProcess, running_sandbox

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox that runs."""
    with running_sandbox(tmp_path_factory.mktemp("browser") / "sandbox") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")  # not longer: Playwright keeps an event loop while it is open
def chromium() -> Iterator[Browser]:
    """Chromium without a window."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"There is no Chromium here: none of {', '.join(_NAMES)} is in PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        browser.close()
