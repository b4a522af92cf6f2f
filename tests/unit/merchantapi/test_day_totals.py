"""The day's totals (source 004, "Retrieve day totals per terminal"): the store's calendar day."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.unit.merchantapi.shop import DECLINED, TERMINAL, Shop, open_shop
from tillwire import clock
from tillwire.dialects.merchantapi.transactions import _midnight

TODAY = f"/terminals/{TERMINAL}/daytotals/today"
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


async def totals(shop: Shop) -> str:
    answer = await shop.till.get(TODAY)
    assert answer.status == 200
    assert set(answer.json) == {"receipt"}
    receipt: str = answer.json["receipt"]
    return receipt


def set_clock(shop: Shop, moment: datetime) -> None:
    shop.clock.shift = 0
    shop.clock.shift = clock.instant(moment) - shop.clock.now()


async def test_the_totals_are_a_receipt(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        set_clock(shop, datetime.fromisoformat("2026-06-01T12:00:00+00:00"))  # and no midnight
        assert "NOTHING APPROVED" in await totals(shop)
        await shop.paid()
        await shop.paid()
        await shop.paid(DECLINED)
        told = await totals(shop)
        assert "25.00" in told
        assert TERMINAL in told
        assert max(len(line) for line in told.splitlines()) <= 24


async def test_the_day_is_the_stores(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        # 22:30 UTC is half past midnight in Amsterdam: the next day there.
        for moment in ("2026-06-01T21:30:00+00:00", "2026-06-01T22:30:00+00:00"):
            set_clock(shop, datetime.fromisoformat(moment))
            await shop.paid()
        told = await totals(shop)
        assert "2026-06-02" in told
        assert "12.50" in told
        assert "25.00" not in told


async def test_other_terminals_have_their_own(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.paid()
        other = await shop.till.get("/terminals/TILLWIRE-V1-t2/daytotals/today")
        assert "NOTHING APPROVED" in other.json["receipt"]
        assert (await shop.till.get("/terminals/nope/daytotals/today")).status == 404


@pytest.mark.parametrize(
    ("day", "zone", "begin", "hours"),
    [
        (date(2026, 3, 29), "Europe/Amsterdam", "2026-03-28T23:00:00+00:00", 23),
        (date(2026, 10, 25), "Europe/Amsterdam", "2026-10-24T22:00:00+00:00", 25),
        (date(2026, 6, 1), "Pacific/Auckland", "2026-05-31T12:00:00+00:00", 24),
        # Clocks jump over midnight: the day begins at 01:00.
        (date(2022, 9, 11), "America/Santiago", "2022-09-11T04:00:00+00:00", 23),
        # Clocks go back over midnight: the day begins with the first 00:00.
        (date(2023, 11, 5), "America/Havana", "2023-11-05T04:00:00+00:00", 25),
    ],
)
def test_days_of_uncommon_length(day: date, zone: str, begin: str, hours: int) -> None:
    first = _midnight(day, ZoneInfo(zone))
    after = _midnight(date.fromordinal(day.toordinal() + 1), ZoneInfo(zone))
    assert clock.utc(first) == datetime.fromisoformat(begin)
    assert after - first == hours * 3_600_000
