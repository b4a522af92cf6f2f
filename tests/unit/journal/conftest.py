"""The journal's own tests have its migrations run each time."""

from __future__ import annotations

import pytest

from tests.kit import migrated
from tillwire.journal import schema


@pytest.fixture(autouse=True)
def migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program runs them."""
    monkeypatch.setattr(schema, "upgrade", migrated.migrate)
