"""What happened to a transaction by a running sandbox's journal, as its command line tells."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

from tests.kit.nursery import nursery


def events(directory: Path, transaction_id: str) -> Counter[str]:
    """Its events by name, and how often each."""
    shown = subprocess.run(
        [
            *(*nursery().tillwire, "transactions", "show", transaction_id, "--json"),
            *("--journal", str(directory / "journal.db")),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return Counter(event["name"] for event in json.loads(shown.stdout)["events"])
