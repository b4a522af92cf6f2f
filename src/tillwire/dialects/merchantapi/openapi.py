"""The OpenAPI 3.1 document, written from the table of operations and the messages of the wire.

Nothing in it is kept twice: paths, parameters and statuses come from `operations.py`, schemas from
the structs in `wire.py`, with which the face encodes and decodes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, get_args

import msgspec

from tillwire.dialects.merchantapi import paging, wire
from tillwire.dialects.merchantapi.operations import OPERATIONS, Operation
from tillwire.net.asgi import BODY_WITHIN, JSON, LARGEST_BODY, PROBLEM
from tillwire.net.problems import PHRASES
from tillwire.version import __version__

Document = dict[str, Any]  # Any: JSON of any shape

_REF: Final = "#/components/schemas/{name}"
_SECURITY: Final = "ApiKey"

_DESCRIPTION: Final = f"""\
Start payments on card terminals, ask what became of them, and manage your API keys.

Every request carries your key in the header `{wire.KEY_HEADER}`. Every 4xx and 5xx answer is a
problem document (RFC 9457) of the media type `{PROBLEM}`; decide on the HTTP status, and show
`detail` to people. Amounts are JSON numbers in major units and exact.

A GET may be repeated at any time. When the answer to a POST or DELETE is lost, look first: list the
terminal's transactions and find yours by its `merchant_order_reference`; or send an
`Idempotency-Key` with each new transaction, and repeat the same request with the same key.
"""

_EVERYWHERE: Final = {
    HTTPStatus.UNAUTHORIZED: f"The {wire.KEY_HEADER} header is missing.",
    HTTPStatus.FORBIDDEN: "The API key is wrong, revoked, expired or not valid yet.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path does not have this method.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of the gateway.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The gateway's journal cannot be used at the moment; nothing "
    "was done.",
}
_WITH_A_BODY: Final = {
    HTTPStatus.REQUEST_TIMEOUT: f"The body did not arrive within {BODY_WITHIN:g} seconds.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"The body has more than {LARGEST_BODY} bytes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: f"The body is not said to be `{JSON}`.",
}
_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "`ApiKey`."},
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "The methods that there are."},
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: {"Accept": "What is understood."},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "Seconds."},
}
_PARAMETERS: Final = {
    "manufacturer": ("The first part of the terminal's name.", "^[^/-]+$", "TILLWIRE"),
    "model": ("The part in the middle; it may contain hyphens.", "^[^/]+$", "V1"),
    "serial": ("The last part of the terminal's name.", "^[^/-]+$", "0001"),
}


def document(root: str = "") -> Document:
    """The document of a face that stands under the path `root`."""
    schemas = _schemas()
    paths: dict[str, Document] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tillwire MerchantAPI",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "security": [{_SECURITY: []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                _SECURITY: {
                    "type": "apiKey",
                    "in": "header",
                    "name": wire.KEY_HEADER,
                    "description": "A key of your organisation.",
                }
            },
        },
    }


def _schemas() -> Document:
    """The schemas of all messages that the operations name, and of what those contain."""
    kinds: list[Any] = [wire.Problem]
    for operation in OPERATIONS:
        kinds += [kind for kind in (operation.request, operation.answer) if kind is not None]
    schemas = msgspec.json.schema_components(kinds, ref_template=_REF)[1]
    _complete(schemas)
    return {name: schemas[name] for name in sorted(schemas)}


def _complete(schema: object) -> None:
    """Say what msgspec cannot be told to say: that Decimals are numbers, as our encoder writes
    them, and that choices, all of which are of text, are of that type."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema["type"] = "number"
        if isinstance(schema.get("enum"), list):
            schema["type"] = "string"
        for each in schema.values():
            _complete(each)


def _operation(operation: Operation) -> Document:
    written: Document = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        written["description"] = operation.description
    if parameters := _parameters(operation):
        written["parameters"] = parameters
    if operation.request is not None:
        content = {JSON: {"schema": _schema_of(operation.request)}}
        written["requestBody"] = {"required": True, "content": content}
    written["responses"] = _responses(operation)
    return written


def _parameters(operation: Operation) -> list[Document]:
    parameters = [
        _parameter(name, "path", words, {"type": "string", "pattern": pattern}, example)
        for name, (words, pattern, example) in _PARAMETERS.items()
        if f"{{{name}}}" in operation.path
    ]
    if "{id}" in operation.path:
        parameters.append(_id_parameter(operation))
    if operation.paged:
        number = {"type": "integer", "minimum": 1, "default": 1}
        size = {
            "type": "integer",
            "minimum": 1,
            "maximum": paging.LARGEST_SIZE,
            "default": paging.DEFAULT_SIZE,
        }
        parameters.append(_parameter("page", "query", "The page; the first is 1.", number))
        parameters.append(_parameter("size", "query", "Entries on a page.", size))
    if operation.repeatable:
        key = {"type": "string", "pattern": "^[!-~]{1,200}$"}
        words = "With the same key, the same request is accepted once."
        parameters.append(_parameter("Idempotency-Key", "header", words, key))
    return parameters


def _id_parameter(operation: Operation) -> Document:
    if operation.path.startswith("/apikeys"):
        kind = msgspec.json.schema(wire.KeyId)
        return _parameter("id", "path", "The key's id.", kind)
    kind = msgspec.json.schema(wire.TransactionId)
    return _parameter("id", "path", "The transaction's id.", kind)


def _parameter(name: str, place: str, words: str, schema: Document, example: str = "") -> Document:
    written = {"name": name, "in": place, "required": place == "path", "description": words}
    return {**written, "schema": schema, **({"example": example} if example else {})}


def _responses(operation: Operation) -> Document:
    success: Document = {"description": operation.says}
    if headers := _success_headers(operation):
        success["headers"] = headers
    if operation.answer is not None:
        success["content"] = {JSON: {"schema": _schema_of(operation.answer)}}
    if links := _links(operation):
        success["links"] = links
    bodily = _WITH_A_BODY if operation.request is not None else {}
    problems = {**_EVERYWHERE, **bodily, **operation.problems}
    return {
        str(operation.success.value): success,
        **{str(status.value): _problem(status, problems[status]) for status in sorted(problems)},
    }


def _links(operation: Operation) -> Document:
    """What can be done with what was made: the operations on the path with its id."""
    if operation.success is not HTTPStatus.CREATED:
        return {}
    same = {name: f"$request.path.{name}" for name in _PARAMETERS if name in operation.path}
    return {
        each.id: {
            "operationId": each.id,
            "parameters": {**same, "id": "$response.body#/id"},
        }
        for each in OPERATIONS
        if each.path == f"{operation.path}/{{id}}"
    }


def _success_headers(operation: Operation) -> Document:
    headers: Document = {}
    if operation.paged:
        headers["X-Total-Count"] = _header("All entries of the listing.", "integer")
        headers["Link"] = _header(
            "RFC 8288: `prev`, `next`, `first` and `last` pages. Empty when all entries fit on "
            "less than a page.",
            "string",
        )
    if operation.located:
        headers["Location"] = _header("The transaction's address.", "string")
    return headers


def _problem(status: HTTPStatus, words: str) -> Document:
    written: Document = {"description": f"{PHRASES[status]}. {words}"}
    if headers := _HEADERS.get(status):
        written["headers"] = {name: _header(text, "string") for name, text in headers.items()}
    written["content"] = {PROBLEM: {"schema": _schema_of(wire.Problem)}}
    return written


def _header(words: str, kind: str) -> Document:
    return {"description": words, "required": True, "schema": {"type": kind}}


def _schema_of(kind: Any) -> Document:  # Any: a struct, or a list of one
    if entries := get_args(kind):
        return {"type": "array", "items": _schema_of(entries[0])}
    return {"$ref": _REF.format(name=kind.__name__)}
