"""The document: complete, true, and drawn from what is routed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.merchantapi.shop import PREFIX, TERMINAL, Till, open_shop
from tillwire.dialects.merchantapi import openapi, wire
from tillwire.dialects.merchantapi.operations import OPERATIONS
from tillwire.money import CURRENCIES
from tillwire.version import __version__

DOCUMENT = openapi.document(PREFIX)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
BODIES = {"createTransaction", "createApiKey"}
LISTINGS = {"listStores", "listTerminals", "listTransactions", "listApiKeys"}

WRITTEN = {
    (path, method): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def test_it_has_the_paths_of_the_source_as_the_source_writes_them() -> None:
    terminal = "/terminals/{manufacturer}-{model}-{serial}"
    assert set(WRITTEN) == {
        ("/stores", "get"),
        ("/terminals", "get"),
        (f"{terminal}/transactions", "get"),
        (f"{terminal}/transactions", "post"),
        (f"{terminal}/transactions/{{id}}", "get"),
        (f"{terminal}/transactions/{{id}}", "delete"),
        (f"{terminal}/daytotals/today", "get"),
        ("/apikeys", "get"),
        ("/apikeys", "post"),
        ("/apikeys/{id}", "delete"),
    }


@pytest.mark.parametrize(("path", "method"), WRITTEN)
def test_every_parameter_of_a_path_is_declared(path: str, method: str) -> None:
    declared = [
        each["name"] for each in WRITTEN[path, method].get("parameters", ()) if each["in"] == "path"
    ]
    assert declared == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("operation", WRITTEN.values(), ids=lambda each: each["operationId"])
def test_every_answer_is_declared_with_its_headers(operation: dict[str, Any]) -> None:
    name, answers = operation["operationId"], operation["responses"]
    assert {"401", "403", "405", "500", "503"} < set(answers)
    assert ({"408", "413", "415"} < set(answers)) is (name in BODIES)
    assert set(answers["401"]["headers"]) == {"WWW-Authenticate"}
    assert set(answers["405"]["headers"]) == {"Allow"}
    assert set(answers["503"]["headers"]) == {"Retry-After"}
    for status, answer in answers.items():
        if int(status) >= 400:
            assert list(answer["content"]) == ["application/problem+json"]
    success = answers[min(answers)]
    assert (set(success.get("headers", ())) == {"X-Total-Count", "Link"}) is (name in LISTINGS)
    assert ("content" in success) is (min(answers) != "204")


def test_every_operation_needs_a_key() -> None:
    assert DOCUMENT["security"] == [{"ApiKey": []}]
    scheme = DOCUMENT["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "API-Key")


def test_ids_and_amounts_are_what_they_are() -> None:
    assert SCHEMAS["ApiKey"]["properties"]["id"]["format"] == "int64"
    assert SCHEMAS["ApiKey"]["properties"]["id"]["type"] == "integer"
    identity = SCHEMAS["Transaction"]["properties"]["id"]
    assert (identity["type"], identity["pattern"]) == ("string", wire.TRANSACTION_ID)
    amount = SCHEMAS["Amount"]["properties"]
    assert (amount["value"]["type"], amount["value"]["exclusiveMinimum"]) == ("number", 0)
    assert amount["currency"]["enum"] == sorted(CURRENCIES)


def test_choices_are_of_text() -> None:
    choices = [SCHEMAS[name] for name in ("Result", "Status", "TransactionType")]
    choices.append(SCHEMAS["Amount"]["properties"]["currency"])
    for schema in choices:
        assert schema["type"] == "string"
        assert all(isinstance(each, str) for each in schema["enum"])


def test_naming_is_mixed_as_in_the_source() -> None:
    assert set(SCHEMAS["ApiKey"]["properties"]) == {"id", "label", "lastUsage", "validity"}
    assert set(SCHEMAS["Validity"]["properties"]) == {"from", "until"}
    assert "system_trace_audit_number" in SCHEMAS["Transaction"]["properties"]


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(DOCUMENT).decode()))
    assert named == set(SCHEMAS)


def test_operations_have_names_of_their_own() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    assert len(WRITTEN) == len(OPERATIONS)


async def test_the_document_is_served_and_says_where(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await Till(shop.app).get("/openapi.json")
        assert answer.header("content-type") == "application/json"
        assert answer.json == DOCUMENT
        assert answer.json["openapi"].startswith("3.1.")
        assert answer.json["info"]["version"] == __version__
        assert answer.json["servers"] == [{"url": PREFIX}]
        at_root = await Till(shop.app, root="").get("/openapi.json")
        assert at_root.json["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.id)
async def test_every_documented_operation_is_routed(tmp_path: Path, operation: Any) -> None:
    async with open_shop(tmp_path) as shop:
        path = operation.path.replace("{manufacturer}-{model}-{serial}", TERMINAL)
        answer = await shop.till.send(operation.method, path.replace("{id}", "7"))
        assert answer.status in (200, 404, 415)
        assert answer.status != 404 or "{id}" in operation.path
        documented = WRITTEN[operation.path, operation.method.lower()]["responses"]
        assert str(answer.status) in documented


async def test_the_page_for_people_is_whole_in_itself(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        answer = await Till(shop.app).get("/docs")
        assert answer.header("content-type") == "text/html; charset=utf-8"
        page = answer.body.decode()
        assert "<script" not in page
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
        assert f'href="{PREFIX}/openapi.json"' in page
        for operation in OPERATIONS:
            assert f"{operation.method} {operation.path}" in page
        for name in SCHEMAS:
            assert f'id="{name}"' in page
        policy = answer.header("content-security-policy") or ""
        assert policy.startswith("default-src 'none'")


async def test_a_prefix_cannot_write_into_the_page(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        page = (await Till(shop.app, root='/"><script>').get("/docs")).body
        assert b"<script" not in page
