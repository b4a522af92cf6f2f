"""Businesses, stores and the devices in them, as the cloud has them (source 000).

Lists of stores come bare or in an object; both are read. What a device's `status` is decides who
pays where, so one that cannot be read makes the whole unreadable.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from tillwire.dialects.paymentbridge.wire import reading
from tillwire.dialects.paymentbridge.wire.fields import (
    LONGEST_LIST,
    MUST,
    Address,
    Currency,
    Id,
    Name,
    Part,
    Status,
    Text,
    Texts,
    Word,
)
from tillwire.errors import RemoteProtocolError

_many: Final = Meta(max_length=LONGEST_LIST, extra=MUST)


class PostalAddress(Part, frozen=True, kw_only=True):
    """Where a business or a store is."""

    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    territory: Text | None = None
    territory_type: Word | None = None
    postal_code: Word | None = None
    postal_code_extension: Word | None = None
    country_code: Word | None = None
    """ISO 3166, three letters."""
    type: Word | None = None
    status: Word | None = None
    primary: bool | None = None
    id: Id | None = None


class Phone(Part, frozen=True, kw_only=True):
    """How a business or a store is called."""

    itu_country_code: Word | None = None
    area_code: Word | None = None
    local_phone_number: Word | None = None
    extension_number: Word | None = None
    type: Word | None = None
    status: Word | None = None
    id: Id | None = None


class StoreDevice(Part, frozen=True, kw_only=True):
    """One device of a lane, now or once. A CREATED one has no `device_id` and `serial_number`."""

    store_id: Id | None = None
    device_id: Name | None = None
    serial_number: Id | None = None
    external_terminal_id: Name | None = None
    """The TID, which is the lane's and not the device's."""
    name: Text | None = None
    catalog_id: Id | None = None
    type: Word | None = None
    status: Status | None = None
    """CREATED, ACTIVATED, DEACTIVATED, REMOVED."""
    created_at: Word | None = None
    activated_at: Status | None = None
    updated_at: Word | None = None
    last_seen_at: Word | None = None


class StoreTerminalId(Part, frozen=True, kw_only=True):
    """A TID of a store at an acquirer."""

    tid: Id | None = None
    mid: Id | None = None
    device_id: Id | None = None
    acquirer: Id | None = None
    created_at: Word | None = None
    updated_at: Word | None = None


class Store(Part, frozen=True, kw_only=True):
    """A shop."""

    id: Name | None = None
    display_name: Text | None = None
    external_store_id: Id | None = None
    gateway_store_id: Id | None = None
    currency: Currency | None = None
    timezone: Id | None = None
    status: Word | None = None
    """ACTIVE, DISABLED, REMOVED."""
    address: PostalAddress | None = None
    phone: Phone | None = None
    latitude: float | None = None
    longitude: float | None = None
    fixed_location: bool | None = None
    mock_processor: bool | None = None
    acquirer: Id | None = None
    processor: Id | None = None
    catalog_id: Id | None = None
    attributes: Texts | None = None
    """Such as `purchaseAction`: SALE or AUTHORIZE."""
    processor_data: Texts | None = None
    store_devices: Annotated[tuple[StoreDevice, ...], _many] | None = None
    store_terminal_ids: Annotated[tuple[StoreTerminalId, ...], Meta(max_length=LONGEST_LIST)] = ()
    created_at: Word | None = None
    updated_at: Word | None = None


class Business(Part, frozen=True, kw_only=True):
    """A merchant."""

    id: Name | None = None
    legal_name: Text | None = None
    doing_business_as: Text | None = None
    description: Text | None = None
    business_url: Address | None = None
    email_address: Text | None = None
    external_merchant_id: Id | None = None
    industry_type: Id | None = None
    mcc: Word | None = None
    sic: Word | None = None
    timezone: Id | None = None
    logo_url: Address | None = None
    type: Word | None = None
    """MERCHANT, TEST_MERCHANT, DEVELOPER, DISTRIBUTOR, ORGANIZATION."""
    status: Word | None = None
    """ADDED, ACTIVATED, LOCKED, CLOSED."""
    address: PostalAddress | None = None
    phone: Phone | None = None
    acquirer: Id | None = None
    processor: Id | None = None
    mock_processor: bool | None = None
    attributes: Texts | None = None
    processor_data: Texts | None = None
    active_since: Word | None = None
    created_at: Word | None = None
    updated_at: Word | None = None
    stores: Annotated[tuple[Store, ...], _many] | None = None


class StoreName(Part, frozen=True, kw_only=True):
    """A store, as a record of a TID names it."""

    id: Id | None = None


class TerminalId(Part, frozen=True, kw_only=True):
    """A record of `/terminal-ids`: which TID is whose."""

    id: Id | None = None
    tid: Id | None = None
    device_id: Id | None = None
    business_id: Id | None = None
    store: StoreName | None = None
    status: Word | None = None
    created_at: Word | None = None
    updated_at: Word | None = None


def read_business(octets: bytes) -> Business:
    """A business. Raises `RemoteProtocolError`."""
    return reading.read(Business, octets)


def read_store(octets: bytes) -> Store:
    """A store. Raises `RemoteProtocolError`."""
    return reading.read(Store, octets)


def read_stores(octets: bytes) -> tuple[Store, ...]:
    """The stores of a business: a bare list, or one under `stores`. Raises
    `RemoteProtocolError`."""
    if len(octets) > reading.LARGEST_ANSWER:
        raise RemoteProtocolError(f"It has {len(octets)} octets.")
    loose: Any = reading.anything(octets)
    if isinstance(loose, dict) and "stores" in loose:
        loose = loose["stores"]
    if not isinstance(loose, list) or len(loose) > LONGEST_LIST:
        raise RemoteProtocolError(f"It is not a list of up to {LONGEST_LIST} stores.")
    return tuple(reading.fitted(Store, each) for each in loose)
