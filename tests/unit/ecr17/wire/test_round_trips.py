"""Every message that there can be is read as it was written, and stands where the protocol says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ecr17.wire.messages import IDS, LAYOUTS, decode, of_layout
from tillwire.dialects.ecr17 import wire
from tillwire.dialects.ecr17.wire import Lrc
from tillwire.dialects.ecr17.wire.layouts import Layout

few = settings(max_examples=max(settings.default.max_examples // 4, 1))
for_each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=IDS)
SPELLINGS = st.builds(wire.Spelling, capture_zeros=st.sampled_from([8, 12]))


@for_each_layout
def test_what_was_written_is_read(layout: Layout) -> None:
    @few
    @given(of_layout(layout), SPELLINGS, st.sampled_from(Lrc))
    def check(message: wire.Request | wire.Result, spelling: wire.Spelling, reading: Lrc) -> None:
        payload = wire.encode(message, spelling)
        (frame,) = wire.Deframer().feed(wire.application(payload, reading))
        assert isinstance(frame, wire.Application)
        assert frame.payload == payload
        assert frame.code == layout.code
        assert frame.readings == {reading}
        read = decode(layout, payload)
        assert read == message
        assert wire.encode(read, spelling) == payload

    check()


TOTALS = {
    "StatusRequest": {10},
    "PaymentRequest": {167},
    "ExtendedPaymentRequest": {167},
    "PreauthorisationRequest": {167},
    "IncrementRequest": {176},
    "CaptureRequest": {176, 180},
    "ReversalRequest": {26},
    "CloseSessionRequest": {26},
    "TotalsRequest": {26},
    "LastResultRequest": {22},
    "ReceiptRoutingRequest": {11},
    "ReprintRequest": {22},
    "CardVerificationRequest": {39},
    "RefundRequest": {39},
    "DownloadRequest": {120},
    "RetroactiveReversalRequest": {80},
    "DccPaymentResult": {117},
    "PreauthorisationResult": {106},
    "IncrementResult": {75},
    "CaptureResult": {74},
    "DccCaptureResult": {109},
    "RefundResult": {58},
    "TotalsResult": {34},
    "CloseSessionResult": {44},
    "PaymentResult": {92},
    "ReversalResult": {84},
    "CardVerificationResult": {71},
    "DownloadResult": {251, 59},
    "UnassignedResult": {71},
}
"""Characters of each message, by the protocol."""


def test_each_message_is_as_long_as_the_protocol_says() -> None:
    found = {
        layout.message.__name__: {table.total for table in layout.tables}
        for layout in LAYOUTS
        if layout.tables
    }
    assert found == TOTALS


def test_messages_of_one_code_are_told_apart() -> None:
    codes = [(layout.code, layout.message) for layout in LAYOUTS]
    assert len(set(codes)) == len(codes)
    assert sorted({code for code, _ in codes}) == sorted("sPXpicSEGTCRHUKADQVev")
