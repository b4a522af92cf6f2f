"""`PUT /Pairing/{code}`: a register is linked with the terminal that shows the code (source 002).

Afterwards the register is known by three texts, which must be the same in every transaction.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from tillwire.dialects.smartconnect.wire import cuts, forms
from tillwire.errors import InvalidRequest, LocalProtocolError, RemoteProtocolError

CODE_DIGITS: Final = 8
LONGEST_CODE: Final = 64
"""Characters of a code, which is opaque to the register."""
SUCCESS: Final = b'{"result":"success"}'
LARGEST_ANSWER: Final = 65_536
LONGEST_WORDS: Final = 300
"""Characters that are kept of what a cloud says of a refusal."""

_CODE: Final = re.compile(r"[\x21-\x7e]+")


class Registration(NamedTuple):
    """Who a register is."""

    register_id: str
    business_name: str
    vendor_name: str


class PairingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A register that wants to be linked."""

    registration: Registration
    register_name: str = ""
    """Shown on the terminal."""
    contact_name: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip_code: str = ""
    email: str = ""
    phone: str = ""


_OPTIONAL: Final = (
    ("Contact Name", "contact_name"),
    ("Address", "address"),
    ("City", "city"),
    ("State", "state"),
    ("ZipCode", "zip_code"),
    ("Email", "email"),
    ("Phone", "phone"),
)


def registration_in(form: forms.Form) -> Registration:
    """Who sends a form. Raises `InvalidRequest`."""
    return Registration(
        forms.named(form, "POSRegisterID"),
        forms.named(form, "POSBusinessName"),
        forms.named(form, "POSVendorName"),
    )


def read(octets: bytes, charset: str = "utf-8", *, lenient_name: bool = False) -> PairingRequest:
    """The request in a form. `lenient_name` allows that the register has no name, as some clients
    have it. Raises `InvalidRequest`."""
    form = forms.read(octets, charset)
    return PairingRequest(
        registration=registration_in(form),
        register_name=forms.named(form, "POSRegisterName", must=not lenient_name),
        **{name: forms.named(form, field, must=False) for field, name in _OPTIONAL},
    )


def write(request: PairingRequest) -> bytes:
    """The form of a request."""
    registration = request.registration
    return forms.write(
        [
            ("POSRegisterID", registration.register_id),
            ("POSRegisterName", request.register_name),
            ("POSBusinessName", registration.business_name),
            ("POSVendorName", registration.vendor_name),
            *((field, getattr(request, name)) for field, name in _OPTIONAL),
        ]
    )


def path(code: str) -> str:
    """What follows the base address. Raises `InvalidRequest` for what cannot be a code."""
    if not _CODE.fullmatch(code) or len(code) > LONGEST_CODE or code in (".", ".."):
        raise InvalidRequest("code", "it is no pairing code", f"the {CODE_DIGITS} digits shown")
    return f"/Pairing/{quote(code, safe='')}"


# --- what is answered ---------------------------------------------------------------------------


def write_error(words: str) -> bytes:
    """The body of a refusal, of whatever request."""
    if not words:
        raise LocalProtocolError("A refusal says why.")
    return msgspec.json.encode({"error": words})


def read_error(octets: bytes) -> str:
    """Why a request was refused, in one line; empty if the body does not tell."""
    try:
        told = msgspec.json.decode(octets[:LARGEST_ANSWER], type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    words = told.get("error")
    if not isinstance(words, str):
        return ""
    return cuts.written(" ".join(words.split()))[:LONGEST_WORDS]


def check_success(octets: bytes) -> None:
    """Raise `RemoteProtocolError` unless a pairing's answer says that it is done."""
    try:
        told = msgspec.json.decode(octets[:LARGEST_ANSWER], type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError("The answer to a pairing is not a JSON object.") from None
    result = told.get("result")
    if not isinstance(result, str) or result.lower() != "success":
        raise RemoteProtocolError("The answer to a pairing does not say success.")
