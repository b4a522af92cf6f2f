"""What the other tests here rely on: the SDK is the pinned one, and is its vendor's alone."""

from __future__ import annotations

import re

from tests.conformance.paymentbridge.application import Application
from tests.conformance.paymentbridge.sdk_environment import LOCK


def test_the_sdk_is_pinned_by_version_and_hash_and_by_no_address() -> None:
    lock = LOCK.read_text()
    pinned = re.findall(r"^(\S+)==\S+.*\\\n    --hash=sha256:", lock, re.MULTILINE)
    assert pinned == re.findall(r"^([a-z0-9]\S*)==", lock, re.MULTILINE)
    assert "poynt" in pinned
    assert "://" not in lock


def test_the_sdk_runs_on_the_old_library_that_it_needs(application: Application) -> None:
    assert application.library["PyJWT"].startswith("1.")
