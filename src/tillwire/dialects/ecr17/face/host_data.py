"""Additional data (`U`): what a till hands to the terminal's host with a request, and what it gets
back.

    request with its flag -> ACK -> U -> ACK -> progress ... -> result -> ACK -> U -> ACK

Both ACKs are of what is in the journal: the first one of the transaction, which has its terminal
then and is held, the second one of the data and the dispatch, in one commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from tillwire.core.model import ForHost, HostTag, Transaction
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.face.lane import Lane
from tillwire.dialects.ecr17.face.memos import Job
from tillwire.dialects.ecr17.wire import AdditionalData
from tillwire.errors import Conflict

MOST_AT_ONCE: Final = 3
"""Messages that are being taken on one connection: the first and its repetitions."""


class Announced:
    """The data that a request has announced, as long as that is served on its connection."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._job: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._came = asyncio.Event()
        self.being_taken = 0
        """How many messages with them are being taken. Whoever has `take` called counts it before,
        for its task begins later."""

    def begun(self, job: Job | None) -> None:
        """The request was acknowledged: what it has begun; None for nothing (a KO)."""
        self._job.set_result(job)

    def forget(self) -> None:
        """The request is not served any more."""
        self._job.cancel()

    async def take(self, data: AdditionalData) -> None:
        """Hand the data on, when the request was acknowledged. Raises `TillwireError`, upon which
        they are refused: they cannot be, others were before, or it is too late."""
        try:
            job = await asyncio.shield(self._job)
            wanted = for_host(data)
            if job is None:
                return
            sent = await self._lane.hand_on(job, wanted)
            if sent.terms.for_host != wanted:
                if sent.is_final:
                    self.came()
                raise Conflict("It is too late, or there were others before.")
        finally:
            self.being_taken -= 1

    def came(self) -> None:
        """They need not be waited for any more."""
        self._came.set()

    async def wait(self) -> None:
        """Until they came, or the time for them is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._lane.settings.additional_data_within):
                await self._came.wait()


def for_host(data: AdditionalData) -> ForHost:
    """What a till hands over. Raises `InvalidRequest` where no terminal could be handed
    the same."""
    wire.encode(data)
    return ForHost(
        tags=tuple(HostTag(each.content, each.index or 0) for each in data.tags),
        purpose=data.payment_type,
        wanted_field=data.back_from if data.wants_back else "",
        wanted_tag=data.back_tag if data.wants_back else "",
    )


def answer_of(job: Job, transaction: Transaction) -> bytes | None:
    """The payload of what the host handed back; None where the till wants nothing, or there is
    nothing."""
    wanted, outcome = transaction.terms.for_host, transaction.outcome
    if wanted is None or not wanted.wanted_field or outcome is None or not outcome.from_host:
        return None
    content = wire.printable(outcome.from_host)[: wire.LONGEST_HOST_DATA]
    return wire.encode(wire.HostData(tid=job.memo.tid, content=content))
