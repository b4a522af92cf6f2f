"""The estate as the cloud has it: merchants are businesses, and each device that stands or stood
at a terminal is an entry under the terminal's TID (source 000).

An index over one picture of the estate; made anew when that is replaced. A terminal without a TID
has no entry, since nobody could name it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from tillwire.clock import Instant
from tillwire.core.estate import Estate
from tillwire.core.estate_model import Device, Lifecycle, Merchant, Store, Terminal
from tillwire.dialects.paymentbridge.wire import ids, places
from tillwire.dialects.paymentbridge.wire.fields import stamp

_TWO_LETTERS: Final = """
AD AL AT AU BA BE BG BR CA CH CN CY CZ DE DK EE ES FI FO FR GB GE GI GR HR HU IE IN IS IT JP LI LT
LU LV MC MD ME MK MT MX NL NO NZ PL PT RO RS SE SI SK SM TR UA US VA XK ZA
"""
_THREE_LETTERS: Final = """
AND ALB AUT AUS BIH BEL BGR BRA CAN CHE CHN CYP CZE DEU DNK EST ESP FIN FRO FRA GBR GEO GIB GRC HRV
HUN IRL IND ISL ITA JPN LIE LTU LUX LVA MCO MDA MNE MKD MLT MEX NLD NOR NZL POL PRT ROU SRB SWE SVN
SVK SMR TUR UKR USA VAT XKX ZAF
"""
_ALPHA_3: Final = dict(zip(_TWO_LETTERS.split(), _THREE_LETTERS.split(), strict=True))
"""ISO 3166: countries that the estate names by two letters and the cloud by three. Others are left
out there."""


class Spot(msgspec.Struct, frozen=True):
    """One device at its terminal."""

    terminal: Terminal
    device: Device

    @property
    def id(self) -> str:
        """Its `deviceId`."""
        return ids.device_id(self.terminal.id, self.device.number)

    @property
    def is_set_up(self) -> bool:
        """Whether it was ever activated, and so has a `deviceId`."""
        device = self.device
        used = device.lifecycle is Lifecycle.ACTIVATED or device.activated_at is not None
        return used and bool(device.serial)


class Places:
    """Looks up what callers name; what is another organisation's is not there."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._businesses = {ids.business_id(each.id): each for each in estate.merchants.values()}
        self._spots: dict[str, Spot] = {}
        self._by_store: dict[str, list[Terminal]] = defaultdict(list)
        self._records: dict[str, Terminal] = {}
        for terminal in sorted(estate.terminals.values(), key=lambda each: (each.tid, each.id)):
            if not terminal.tid:
                continue
            self._by_store[terminal.store_id].append(terminal)
            self._records[ids.tid_record_id(terminal.id)] = terminal
            for spot in self._of(terminal):
                if spot.is_set_up:
                    self._spots[spot.id] = spot

    def _of(self, terminal: Terminal) -> list[Spot]:
        history = self.estate.devices.get(terminal.id) or [_only_device(terminal)]
        return [Spot(terminal, device) for device in history]

    # --- looking up -----------------------------------------------------------------------------

    def merchants(self, organisation_id: str) -> list[Merchant]:
        """The organisation's, by their ids."""
        mine = (
            each
            for each in self.estate.merchants.values()
            if each.organisation_id == organisation_id
        )
        return sorted(mine, key=lambda each: each.id)

    def business(self, organisation_id: str, business_id: str) -> Merchant | None:
        """The organisation's merchant of this `businessId`."""
        found = self._businesses.get(business_id.lower())
        return found if found is not None and found.organisation_id == organisation_id else None

    def merchant_of(self, terminal: Terminal) -> Merchant:
        """Whose terminal it is."""
        return self.estate.merchants[self.estate.stores[terminal.store_id].merchant_id]

    def stores(self, merchant: Merchant) -> list[Store]:
        """The merchant's, by their names."""
        mine = (each for each in self.estate.stores.values() if each.merchant_id == merchant.id)
        return sorted(mine, key=lambda each: (each.name, each.id))

    def store(self, merchant: Merchant, store_id: str) -> Store | None:
        """The merchant's store of this id."""
        found = self.estate.stores.get(store_id.lower()) or self.estate.stores.get(store_id)
        return found if found is not None and found.merchant_id == merchant.id else None

    def terminals(self, merchant: Merchant) -> Iterator[Terminal]:
        """All that the merchant has or had under a TID."""
        for store in self.stores(merchant):
            yield from self._by_store[store.id]

    def spot(self, merchant: Merchant, device_id: str) -> Spot | None:
        """The merchant's device of this `deviceId`, now or once."""
        found = self._spots.get(device_id.lower())
        return found if found and self.merchant_of(found.terminal).id == merchant.id else None

    def spots(self, merchant: Merchant) -> Iterator[Spot]:
        """All of the merchant's devices, now or once."""
        for terminal in self.terminals(merchant):
            yield from self._of(terminal)

    def spot_anywhere(self, organisation_id: str, device_id: str) -> Spot | None:
        """The organisation's device of this `deviceId`, now or once."""
        found = self._spots.get(device_id.lower())
        return found if found and found.terminal.organisation_id == organisation_id else None

    def stands(self, spot: Spot) -> bool:
        """Whether it is the device that stands at its terminal now."""
        return self._of(spot.terminal)[-1].device.number == spot.device.number

    def is_operating(self, spot: Spot) -> bool:
        """Whether it stands at its terminal and can pay."""
        return spot.terminal.lifecycle is Lifecycle.ACTIVATED and self.stands(spot)

    # --- as the cloud has them ------------------------------------------------------------------

    def shown_business(self, merchant: Merchant, purchase_action: str) -> places.Business:
        """A business with all its stores."""
        stores = self.stores(merchant)
        return places.Business(
            id=ids.business_id(merchant.id),
            legal_name=merchant.name,
            doing_business_as=merchant.name,
            external_merchant_id=merchant.id,
            type="MERCHANT",
            status="ACTIVATED",
            timezone=stores[0].time_zone if stores else None,
            address=_address(stores[0]) if stores else None,
            stores=tuple(self.shown_store(each, purchase_action) for each in stores),
        )

    def shown_store(self, store: Store, purchase_action: str) -> places.Store:
        """A store with all the devices that it has or had."""
        terminals = self._by_store.get(store.id, [])
        return places.Store(
            id=store.id,
            display_name=store.name,
            external_store_id=store.id,
            currency=store.currency,
            timezone=store.time_zone,
            status="ACTIVE",
            address=_address(store),
            attributes={"purchaseAction": purchase_action},
            store_devices=tuple(
                _shown(spot) for terminal in terminals for spot in self._of(terminal)
            ),
            store_terminal_ids=tuple(
                places.StoreTerminalId(tid=each.tid, device_id=self._device_of(each))
                for each in terminals
                if each.lifecycle is not Lifecycle.REMOVED
            ),
        )

    def records(self, organisation_id: str) -> Iterator[tuple[Terminal, places.TerminalId]]:
        """The TIDs of the organisation's terminals."""
        for terminal in self._records.values():
            if terminal.organisation_id == organisation_id:
                yield terminal, self.shown_record(terminal)

    def record(self, organisation_id: str, record_id: str) -> places.TerminalId | None:
        """The TID of this record."""
        found = self._records.get(record_id.lower())
        if found is None or found.organisation_id != organisation_id:
            return None
        return self.shown_record(found)

    def shown_record(self, terminal: Terminal) -> places.TerminalId:
        """A terminal's TID, and whose it is."""
        history = [spot.device for spot in self._of(terminal)]
        return places.TerminalId(
            id=ids.tid_record_id(terminal.id),
            tid=terminal.tid,
            device_id=self._device_of(terminal),
            business_id=ids.business_id(self.merchant_of(terminal).id),
            store=places.StoreName(id=terminal.store_id),
            status=terminal.lifecycle.value,
            created_at=_stamp(history[0].created_at),
            updated_at=_stamp(_changed(history[-1])),
        )

    def _device_of(self, terminal: Terminal) -> str | None:
        spot = self._of(terminal)[-1]
        return spot.id if spot.is_set_up else None


def device_at(estate: Estate, terminal_id: str, at: Instant) -> str:
    """The `deviceId` of the device that stood at the terminal at that moment."""
    number = 1
    for device in estate.devices.get(terminal_id, ()):
        if device.created_at <= at:
            number = device.number
    return ids.device_id(terminal_id, number)


def _only_device(terminal: Terminal) -> Device:
    """Of a terminal whose history nobody has written down."""
    return Device(terminal.id, 1, terminal.serial, Instant(0), terminal.lifecycle)


def _changed(device: Device) -> Instant:
    moments = (device.created_at, device.activated_at, device.removed_at)
    return max(each for each in moments if each is not None)


def _stamp(at: Instant | None) -> str | None:
    return stamp(at) if at else None


def _shown(spot: Spot) -> places.StoreDevice:
    terminal, device = spot.terminal, spot.device
    return places.StoreDevice(
        store_id=terminal.store_id,
        device_id=spot.id if spot.is_set_up else None,
        serial_number=device.serial if spot.is_set_up else None,
        external_terminal_id=terminal.tid,
        name=f"{terminal.manufacturer} {terminal.model}",
        type="TERMINAL",
        status=device.lifecycle.value,
        created_at=_stamp(device.created_at),
        activated_at=_stamp(device.activated_at),
        updated_at=_stamp(_changed(device)),
    )


def _address(store: Store) -> places.PostalAddress:
    return places.PostalAddress(
        line1=store.address,
        city=store.city,
        postal_code=store.zip_code,
        country_code=_ALPHA_3.get(store.country),
        type="BUSINESS",
        primary=True,
    )
