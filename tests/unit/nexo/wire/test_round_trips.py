"""Every message that there can be is read as it was written, whatever form it has."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.nexo.wire.messages import messages
from tillwire.dialects.nexo import wire
from tillwire.dialects.nexo.wire import names, tolerance
from tillwire.dialects.nexo.wire.values import MessageCategory

KINDS = sorted(wire.KIND.values(), key=lambda struct: struct.__name__)
for_each_kind = pytest.mark.parametrize("struct", KINDS, ids=lambda struct: struct.__name__)
_anything = msgspec.json.Decoder(float_hook=tolerance.number)
_encoder = msgspec.json.Encoder(decimal_format="number")
few = settings(max_examples=max(settings.default.max_examples // 10, 1))


def test_every_category_has_its_bodies() -> None:
    without_answer = {"Abort", "Event", "InputUpdate"}
    expected = {(name, "Request") for name in MessageCategory} - {("Event", "Request")}
    expected |= {(name, "Response") for name in MessageCategory if name not in without_answer}
    assert wire.KIND.keys() == expected | {("Event", "Notification")}


@for_each_kind
def test_what_was_written_is_read(struct: type[msgspec.Struct]) -> None:
    @few
    @given(messages(struct), st.booleans())
    def check(message: wire.Message, flat: bool) -> None:
        written = wire.encode(message, flat=flat)
        read = wire.decode(written)
        assert (read.header, read.body) == (message.header, message.body)
        assert read.envelope is not flat
        assert wire.encode(read, flat=flat) == written
        # Both ways into a structure lead to the same: at once, and through `tolerance`.
        value = _anything.decode(_encoder.encode(message.body))
        canonical = tolerance.canonical(value, tolerance.plan(struct))
        assert msgspec.convert(canonical, struct) == message.body

    check()


@for_each_kind
def test_what_is_written_in_another_way_is_the_same(struct: type[msgspec.Struct]) -> None:
    @few
    @given(messages(struct), st.randoms(use_true_random=False))
    def check(message: wire.Message, chance: Any) -> None:
        written = json.loads(wire.encode(message, flat=True), parse_float=str)
        key = wire.body_key(message.header)
        written[key] = otherwise(written[key], tolerance.plan(struct), chance)
        read = wire.decode(json.dumps(written).encode())
        assert read.body == message.body
        assert wire.digest(read) == wire.digest(message)

    check()


def otherwise(value: Any, plan: tolerance.Plan, chance: Any) -> Any:
    """The same in the words of some vendor: other keys, flags and numbers as text, numbers for
    ids, lists for one and one for lists, null, and members that nobody knows."""
    told: dict[str, Any] = {"Unheard": [{"Of": None}], "unheard": 1}
    others = {member.key: key for key, member in plan.members.items() if key != member.key}
    for key, member in plan.members.items():
        if key == member.key and key not in value and chance.random() < 0.2:
            told[key] = None
    for key, given_ in value.items():
        member = plan.members[key]
        each = given_ if isinstance(given_, list) else [given_]
        some = [_one_otherwise(one, member, chance) for one in each]
        if chance.random() < 0.5:
            key = others.get(key, key)
        alone = len(some) == 1 and not (member.key in tolerance.SPACED and _is_list(some[0]))
        told[key] = some[0] if alone and chance.random() < 0.5 else some
    return told


def _is_list(value: Any) -> bool:
    return isinstance(value, str) and value.split() != [value]


def _one_otherwise(value: Any, member: tolerance.Member, chance: Any) -> Any:
    if member.part is not None:
        return otherwise(value, member.part, chance)
    if chance.random() < 0.5:
        if isinstance(value, bool):
            return str(value).lower() if member.kind is tolerance.Kind.FLAG else value
        if isinstance(value, str) and value.isascii() and value.isdigit() and value[:1] != "0":
            is_text = member.kind in (tolerance.Kind.TEXT, tolerance.Kind.WHOLE)
            return int(value) if is_text else value
        if isinstance(value, int):
            return str(value) if abs(value) < 10**15 else value
        if isinstance(value, str) and member.kind is tolerance.Kind.TEXT:
            back = {ours: theirs for theirs, ours in member.other_values.items()}
            return back.get(value, value)
    return value


@pytest.mark.parametrize(
    ("attribute", "key"),
    [
        ("poi_id", "POIID"),
        ("sale_to_poi_data", "SaleToPOIData"),
        ("masked_pan", "MaskedPAN"),
        ("poi_transaction_id", "POITransactionID"),
        ("output_xhtml", "OutputXHTML"),
        ("ped_ok_flag", "PEDOKFlag"),
        ("total_nb_of_payments", "TotalNbOfPayments"),
        ("amounts_req", "AmountsReq"),
        ("poi_reconciliation_id", "POIReconciliationID"),
        ("pin_request_type", "PINRequestType"),
        ("encr_pin_block", "EncrPINBlock"),
        ("icc_reset_data", "ICCResetData"),
        ("ean_upc", "EanUpc"),
    ],
)
def test_names_are_the_protocols_in_lower_case(attribute: str, key: str) -> None:
    assert names.key(attribute) == key
