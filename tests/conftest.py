"""What holds for every test: what time is, how long Hypothesis looks, how errors are logged, where
new journals come from and where they are, which tests begin, and that in CI nothing skips."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from structlog.dev import ConsoleRenderer, plain_traceback

from tests.kit import migrated
from tests.kit.patient_loop import PatientPolicy
from tillwire.journal import schema

# The machine is shared with other processes: it may stop this one at any time for a while, which
# is neither an example's fault nor a peer's.
asyncio.set_event_loop_policy(PatientPolicy())
settings.register_profile("short", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("short"), max_examples=2000)
settings.load_profile("long" if os.environ.get("TILLWIRE_LONG") else "short")
# Where no test has asked for other logs, tracebacks are plain: each one with coloured sources and
# local variables takes a second.
ConsoleRenderer.get_active().exception_formatter = plain_traceback

schema.upgrade = migrated.copied

# Temporary folders are in memory where there is plenty for them: a commit waits for its disk, and
# no test cuts the power.
_MEMORY_DISK = Path("/dev/shm")
_PLENTY = 2 << 30
if (
    _MEMORY_DISK.is_dir()
    and shutil.disk_usage(_MEMORY_DISK).free > _PLENTY
    and not os.statvfs(_MEMORY_DISK).f_flag & os.ST_NOEXEC
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY_DISK))

_BEGIN = (
    "tests/docs/test_examples.py",
    "tests/conformance/merchantapi/test_schemathesis.py",
    "tests/simulation/test_reconciliation.py",
    "tests/simulation/test_ecr17_random.py",
    "tests/crash/test_every_boundary.py",
    "tests/conformance/nexo/test_power_cut.py",
    "tests/unit/reconcile/test_partition.py",
)
"""Files with tests that take many seconds, so that in the end nobody waits for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins."""
    items.sort(key=lambda each: not each.nodeid.startswith(_BEGIN))


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

_IN_CI = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that skips has failed: what it needs should have been there."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips."""
    return _no_skip((yield))


def _no_skip(report: Report) -> Report:
    if _IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"In CI nothing may skip. {report.longrepr}"
    return report
