"""A client that a till's developer generates from our OpenAPI document, against the sandbox.

Nothing of it is ours: `openapi-python-client` reads the document and writes the code. What the
client does not understand, the document tells wrongly.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.kit.sandbox_process import SandboxProcess
from tests.kit.shop_front import PolledTerminal, call, charged

PACKAGE = "till_client"
SETTLES_WITHIN = 30.0


@pytest.fixture(scope="module")
def generated(
    sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModuleType]:
    """The package that the generator makes of the served document."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(call("GET", sandbox.card["merchantapi"]["openapi"]).body)
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--path", str(document), "--output-path", str(folder / PACKAGE)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": str(Path(sys.executable).parent)},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING parsing" not in made.stdout + made.stderr, "it understands all of the document"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module(PACKAGE)


class Api:
    """The generated client with a key, its operations by their ids."""

    def __init__(self, package: ModuleType, url: str, key: str) -> None:
        self._package = package
        self.client = package.AuthenticatedClient(
            base_url=url, token=key, prefix="", auth_header_name="API-Key"
        )
        self.models = importlib.import_module(f"{PACKAGE}.models")

    def call(self, operation: str, *path: str | int, **parameters: Any) -> Any:  # Any: generated
        """The detailed answer of an operation, `tag.name`."""
        module = importlib.import_module(f"{PACKAGE}.api.{operation}")
        answer = module.sync_detailed(*path, client=self.client, **parameters)
        assert answer.status_code == 204 or answer.parsed is not None, (
            f"the document does not tell of this {answer.status_code}: {answer.content}"
        )
        return answer

    def with_key(self, url: str, key: str) -> Api:
        """The same with another key."""
        return Api(self._package, url, key)


class ClientTill:
    """A till at one terminal, on the generated client."""

    def __init__(self, api: Api, terminal: str) -> None:
        self.api = api
        self.terminal = terminal.split("-")

    def order(
        self, value: float, reference: str, kind: str = "PURCHASE", original: str = ""
    ) -> Any:
        """Ask for a transaction; for a referenced refund with the id of its original."""
        models = self.api.models
        named = {"reference": models.Reference(id=original)} if original else {}
        body = models.TransactionRequest(
            type_=models.TransactionType(kind),
            merchant_order_reference=reference,
            amount=models.Amount(value=value, currency=models.AmountCurrency("EUR")),
            **named,
        )
        return self.api.call("transactions.create_transaction", *self.terminal, body=body)

    def back(self, value: float, reference: str, original: str) -> Any:
        """Ask for a referenced refund."""
        return self.order(value, reference, "REFUND", original)

    def end_of(self, created: Any) -> Any:
        """The transaction as it ends."""
        assert created.status_code == 201, created.content
        end = time.monotonic() + SETTLES_WITHIN
        while True:
            read = self.api.call(
                "transactions.get_transaction", *self.terminal, created.parsed.id
            ).parsed
            if read.status.value != "CREATED" or time.monotonic() > end:
                return read

    def cancel(self, transaction_id: str) -> Any:
        """Ask to cancel."""
        return self.api.call("transactions.cancel_transaction", *self.terminal, transaction_id)


@pytest.fixture(scope="module")
def api(generated: ModuleType, sandbox: SandboxProcess) -> Api:
    """The client with the card's key."""
    card = sandbox.card["merchantapi"]
    return Api(generated, card["url"], card["api_key"])


@pytest.fixture
def till(api: Api, sandbox: SandboxProcess) -> ClientTill:
    """A till at the first virtual terminal."""
    return ClientTill(api, sandbox.card["merchantapi"]["terminals"][0])


@pytest.fixture
def reference() -> str:
    """A reference that no other sale has."""
    return f"till-{uuid.uuid4().hex[:12]}"


def outcome(read: Any) -> tuple[str, str | None]:
    """Status and result."""
    return read.status.value, read.result.value if read.result else None


def test_a_purchase_is_approved_and_charged(
    till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    created = till.order(19.99, reference)
    assert (created.parsed.merchant_order_reference, created.parsed.amount.value) == (
        reference,
        19.99,
    )
    paid = till.end_of(created)
    assert outcome(paid) == ("CLEARED", "APPROVED")
    assert paid.id == created.parsed.id
    assert isinstance(paid.id, str)
    assert paid.brand
    assert paid.system_trace_audit_number in paid.receipt
    assert "EUR 19.99" in paid.receipt
    assert "MERCHANT COPY" in paid.merchant_receipt
    assert paid.store.name == "Tillwire Corner Shop"
    assert paid.transaction_datetime >= paid.creation_datetime.replace(microsecond=0)
    assert charged(sandbox.card, reference) == [1999]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10.40, ("CANCELLED", "DECLINED")),
        (10.43, ("CANCELLED", None)),
        (10.45, ("CANCELLED", "DECLINED")),  # a part of it: this API cannot ask for that
        (10.52, ("CANCELLED", None)),
    ],
)
def test_a_purchase_is_not_paid(
    till: ClientTill,
    sandbox: SandboxProcess,
    reference: str,
    value: float,
    expected: tuple[str, str | None],
) -> None:
    assert outcome(till.end_of(till.order(value, reference))) == expected
    assert charged(sandbox.card, reference) == []


def test_a_lost_answer_reads_as_open_until_it_is_found(
    till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    created = till.order(10.46, reference)
    assert outcome(created.parsed) == ("CREATED", None)
    assert outcome(till.end_of(created)) == ("CLEARED", "APPROVED")
    assert charged(sandbox.card, reference) == [1046]


def test_a_tip_shows_beside_what_was_asked_for(
    till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    paid = till.end_of(till.order(10.54, reference))
    assert (paid.amount.value, paid.approved_amount.value) == (10.54, 11.59)
    assert charged(sandbox.card, reference) == [1159]


def test_refunds_give_back_no_more_than_was_paid(
    till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    paid = till.end_of(till.order(30.00, reference))
    part = till.end_of(till.back(20.00, f"{reference}-a", paid.id))
    assert (outcome(part), part.reference.id) == (("CLEARED", "APPROVED"), paid.id)
    refused = till.back(10.01, f"{reference}-b", paid.id)
    assert refused.status_code == 409
    assert (refused.parsed.status, refused.parsed.title) == (409, "Conflict")
    assert outcome(till.end_of(till.back(10.00, f"{reference}-c", paid.id)))[1] == "APPROVED"
    gone = [charged(sandbox.card, f"{reference}-{each}") for each in "abc"]
    assert gone == [[2000], [], [1000]]


def test_an_unreferenced_refund_is_paid_out(
    till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    assert outcome(till.end_of(till.order(5.00, reference, "REFUND")))[1] == "APPROVED"
    assert charged(sandbox.card, reference) == [500]


def test_cancelling_is_possible_once_and_until_the_terminal_has_fetched(
    api: Api, sandbox: SandboxProcess, reference: str
) -> None:
    terminal = PolledTerminal(sandbox.card)
    till = ClientTill(api, terminal.name)
    waiting = till.order(5.00, reference).parsed.id
    assert till.cancel(waiting).status_code == 204
    again = till.cancel(waiting)
    assert (again.status_code, again.parsed.status) == (409, 409)
    created = till.order(6.00, f"{reference}-b")
    assert terminal.fetch()["id"] == created.parsed.id
    assert till.cancel(created.parsed.id).status_code == 409
    assert terminal.tell(created.parsed.id, "approved", stan="000001").status == 200
    assert outcome(till.end_of(created)) == ("CLEARED", "APPROVED")


def pages(fetch: Callable[[int], Any]) -> Iterator[list[Any]]:
    """The pages of a listing, as their Link headers lead from one to the next."""
    number: int | None = 1
    while number is not None:
        answer = fetch(number)
        assert answer.status_code == 200
        yield answer.parsed
        link = answer.headers["Link"]
        assert f'page={number + 1}>; rel="next"' in link or 'rel="next"' not in link
        number = number + 1 if 'rel="next"' in link else None


def test_paging_leads_through_all_transactions(
    api: Api, sandbox: SandboxProcess, reference: str
) -> None:
    till = ClientTill(api, sandbox.card["merchantapi"]["terminals"][1])
    made = [till.end_of(till.order(1.00, f"{reference}-{number}")).id for number in range(7)]

    def fetch(number: int) -> Any:
        return api.call("transactions.list_transactions", *till.terminal, page=number, size=3)

    found = list(pages(fetch))
    listed = [each.id for page in found for each in page]
    assert listed[:7] == made[::-1], "newest first"
    assert int(fetch(1).headers["X-Total-Count"]) == len(listed)
    assert [len(page) for page in found[:2]] == [3, 3]
    assert fetch(99).parsed == []
    assert api.call("transactions.list_transactions", *till.terminal, size=101).status_code == 400


def test_a_lost_reply_is_looked_up_by_its_reference(till: ClientTill, reference: str) -> None:
    created = till.order(7.00, reference).parsed  # and suppose that this never came back

    def fetch(number: int) -> Any:
        return till.api.call(
            "transactions.list_transactions", *till.terminal, page=number, size=100
        )

    mine = [
        each for page in pages(fetch) for each in page if each.merchant_order_reference == reference
    ]
    assert [each.id for each in mine] == [created.id]


def test_stores_terminals_and_day_totals(
    api: Api, till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    (store,) = api.call("stores_and_terminals.list_stores").parsed
    assert (store.name, store.currency) == ("Tillwire Corner Shop", "EUR")
    terminals = api.call("stores_and_terminals.list_terminals", size=100).parsed
    names = {f"{each.manufacturer}-{each.model}-{each.serial}" for each in terminals}
    assert names >= {*sandbox.card["merchantapi"]["terminals"], "TILLWIRE-P1-0001"}
    assert {each.store.uuid for each in terminals} == {store.uuid}
    assert till.end_of(till.order(1.00, reference)).result
    totals = api.call("transactions.get_day_totals", *till.terminal).parsed.receipt
    assert "DAY TOTALS" in totals
    assert "NET TOTAL EUR" in totals


def test_keys_rotate_without_a_gap(api: Api, sandbox: SandboxProcess) -> None:
    url = sandbox.card["merchantapi"]["url"]
    label = api.models.ApiKeyRequest(label="old")
    old = api.call("api_keys.create_api_key", body=label).parsed
    with_old = api.with_key(url, old.apikey)
    assert with_old.call("stores_and_terminals.list_stores").status_code == 200
    new = with_old.call(
        "api_keys.create_api_key", body=api.models.ApiKeyRequest(label="new")
    ).parsed
    own = with_old.call("api_keys.revoke_api_key", old.id)
    assert own.status_code == 409, "a key does not revoke itself"
    with_new = api.with_key(url, new.apikey)
    assert with_new.call("api_keys.revoke_api_key", old.id).status_code == 204
    assert with_old.call("stores_and_terminals.list_stores").status_code == 403
    assert with_new.call("api_keys.revoke_api_key", old.id).status_code == 404
    listed = with_new.call("api_keys.list_api_keys", size=100).parsed
    shown = {each.id: each for each in listed}
    assert new.id in shown
    assert old.id not in shown
    assert shown[new.id].last_usage
    assert "apikey" not in shown[new.id].to_dict(), "the secret is shown once"


def test_the_last_valid_key_stays(generated: ModuleType, sandbox: SandboxProcess) -> None:
    card = sandbox.card["merchantapi"]
    api = Api(generated, card["url"], card["other_api_key"])
    (only,) = api.call("api_keys.list_api_keys").parsed
    assert api.call("api_keys.revoke_api_key", only.id).status_code == 409
    assert api.call("stores_and_terminals.list_stores").status_code == 200


def test_another_organisation_sees_nothing(
    generated: ModuleType, till: ClientTill, sandbox: SandboxProcess, reference: str
) -> None:
    paid = till.end_of(till.order(1.00, reference))
    card = sandbox.card["merchantapi"]
    other = Api(generated, card["url"], card["other_api_key"])
    read = other.call("transactions.get_transaction", *till.terminal, paid.id)
    assert (read.status_code, read.parsed.status) == (404, 404)
    assert ClientTill(other, "-".join(till.terminal)).cancel(paid.id).status_code == 404
