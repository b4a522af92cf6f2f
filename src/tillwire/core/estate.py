"""The estate as it stands: an immutable picture that is read on every request.

Loaded from the journal, replaced as a whole when the journal's estate has changed. Looks things up
by what callers know of them; whether the caller may see them is the caller's question, which is
why most look-ups take the organisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tillwire.core.estate_model import (
    ApiKey,
    Application,
    ClientApp,
    Device,
    Hook,
    Lifecycle,
    Merchant,
    Organisation,
    Register,
    SealedKey,
    Store,
    Terminal,
)
from tillwire.core.model import Heading


class Estate:
    """Organisations with their keys, applications and registers, merchants, stores, terminals and
    hooks; and keys of our own."""

    def __init__(
        self,
        *,
        version: int = 0,
        organisations: Sequence[Organisation] = (),
        api_keys: Sequence[ApiKey] = (),
        merchants: Sequence[Merchant] = (),
        stores: Sequence[Store] = (),
        terminals: Sequence[Terminal] = (),
        devices: Sequence[Device] = (),
        applications: Sequence[Application] = (),
        hooks: Sequence[Hook] = (),
        registers: Sequence[Register] = (),
        client_apps: Sequence[ClientApp] = (),
        sealed_keys: Sequence[SealedKey] = (),
    ) -> None:
        self.version = version
        self.organisations = {thing.id: thing for thing in organisations}
        self.api_keys = {thing.id: thing for thing in api_keys}
        self.merchants = {thing.id: thing for thing in merchants}
        self.stores = {thing.id: thing for thing in stores}
        self.terminals = {thing.id: thing for thing in terminals}
        self.devices: dict[str, list[Device]] = defaultdict(list)
        for device in sorted(devices, key=lambda each: each.number):
            self.devices[device.terminal_id].append(device)
        self.applications = {thing.id: thing for thing in applications}
        self.hooks = {thing.id: thing for thing in hooks}
        self._hooks_by_merchant: dict[str, list[Hook]] = defaultdict(list)
        for hook in sorted(hooks, key=lambda each: (each.created_at, each.id)):
            if hook.removed_at is None:
                self._hooks_by_merchant[hook.merchant_id].append(hook)
        self.registers = {thing.id: thing for thing in registers}
        self.client_apps = {thing.id: thing for thing in client_apps}
        self.sealed_keys = {thing.id: thing for thing in sealed_keys}
        self._by_registration = {_registration(thing): thing for thing in registers}
        self._by_name: dict[tuple[str, str], Terminal] = {}
        self._by_tid: dict[tuple[str, str], Terminal] = {}
        self._by_digest: dict[bytes, Terminal] = {}
        self._key_by_digest = {key.digest: key for key in api_keys}
        for terminal in sorted(terminals, key=lambda each: each.lifecycle is not Lifecycle.REMOVED):
            if terminal.serial:
                self._by_name[terminal.organisation_id, terminal.name.lower()] = terminal
            if terminal.tid and terminal.lifecycle is not Lifecycle.REMOVED:
                self._by_tid[terminal.organisation_id, terminal.tid] = terminal
            if terminal.device_digest is not None:
                self._by_digest[terminal.device_digest] = terminal

    def terminal_named(self, organisation_id: str, name: str) -> Terminal | None:
        """The organisation's terminal called `manufacturer-model-serial`, in any case. The whole
        text is looked up, since a model may contain hyphens. One whose device is not known yet has
        no such name."""
        return self._by_name.get((organisation_id, name.lower()))

    def terminal_with_tid(self, organisation_id: str, tid: str) -> Terminal | None:
        """The organisation's terminal of this TID that is not removed: no two have it."""
        return self._by_tid.get((organisation_id, tid))

    def device_of(self, terminal: Terminal) -> Device | None:
        """The device that stands at the terminal: the newest. Former ones may be ACTIVATED still,
        when nobody told that they were retired, but nothing reaches them."""
        history = self.devices.get(terminal.id)
        return history[-1] if history else None

    def terminal_with_digest(self, digest: bytes) -> Terminal | None:
        """The polling terminal whose secret has this SHA-256."""
        return self._by_digest.get(digest)

    def key_with_digest(self, digest: bytes) -> ApiKey | None:
        """The API key whose secret has this SHA-256, valid or not."""
        return self._key_by_digest.get(digest)

    def organisation_of(self, store: Store) -> Organisation:
        """Who owns the store."""
        return self.organisations[self.merchants[store.merchant_id].organisation_id]

    def keys_of(self, organisation_id: str) -> list[ApiKey]:
        """The organisation's keys, oldest first."""
        return sorted(
            (key for key in self.api_keys.values() if key.organisation_id == organisation_id),
            key=lambda key: (key.created_at, key.id),
        )

    def applications_of(self, organisation_id: str) -> list[Application]:
        """The organisation's applications, revoked ones too, oldest first."""
        return sorted(
            (
                each
                for each in self.applications.values()
                if each.organisation_id == organisation_id
            ),
            key=lambda each: (each.created_at, each.id),
        )

    def hooks_of(self, organisation_id: str) -> list[Hook]:
        """The organisation's hooks that are not removed, oldest first."""
        return sorted(
            (
                each
                for each in self.hooks.values()
                if each.organisation_id == organisation_id and each.removed_at is None
            ),
            key=lambda each: (each.created_at, each.id),
        )

    def hooks_for(self, store_id: str, dialect: str) -> list[Hook]:
        """The dialect's active hooks at the merchant of a store, oldest first."""
        store = self.stores.get(store_id)
        if store is None or store.merchant_id not in self._hooks_by_merchant:
            return []
        return [
            each
            for each in self._hooks_by_merchant[store.merchant_id]
            if each.active and each.dialect == dialect
        ]

    def register(
        self, organisation_id: str, dialect: str, vendor_name: str, register_id: str
    ) -> Register | None:
        """The organisation's register of this name of the vendor's, paired or not: no two have
        it."""
        return self._by_registration.get((organisation_id, dialect, vendor_name, register_id))

    def registers_at(self, terminal_id: str) -> list[Register]:
        """The registers that are paired with a terminal, the longest first."""
        return sorted(
            (each for each in self.registers.values() if each.terminal_id == terminal_id),
            key=lambda each: (each.paired_at, each.id),
        )

    def live_keys(self, purpose: str) -> list[SealedKey]:
        """The keys of ours for this purpose that are not retired, newest first."""
        return sorted(
            (
                each
                for each in self.sealed_keys.values()
                if each.purpose == purpose and each.retired_at is None
            ),
            key=lambda each: (each.created_at, each.id),
            reverse=True,
        )

    def stores_of(self, organisation_id: str) -> list[Store]:
        """The stores of all the organisation's merchants, by name."""
        return sorted(
            (
                store
                for store in self.stores.values()
                if self.merchants[store.merchant_id].organisation_id == organisation_id
            ),
            key=lambda store: (store.name, store.id),
        )

    def terminals_of(self, organisation_id: str) -> list[Terminal]:
        """The organisation's terminals that are not removed, by name."""
        return sorted(
            (
                terminal
                for terminal in self.terminals.values()
                if terminal.organisation_id == organisation_id
                and terminal.lifecycle is not Lifecycle.REMOVED
            ),
            key=lambda terminal: (terminal.name, terminal.id),
        )

    def heading(self, terminal: Terminal) -> Heading:
        """What a receipt of the terminal is headed with, as of now."""
        store = self.stores[terminal.store_id]
        return Heading(
            store_id=store.id,
            store=store.name,
            address=store.address,
            zip_code=store.zip_code,
            city=store.city,
            country=store.country,
            time_zone=store.time_zone,
            terminal=terminal.name,
            tid=terminal.tid,
        )


def _registration(register: Register) -> tuple[str, str, str, str]:
    """What a register is found by."""
    return (
        register.organisation_id,
        register.dialect,
        register.vendor_name,
        register.register_id,
    )
