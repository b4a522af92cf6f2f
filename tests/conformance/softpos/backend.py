"""A merchant's backend that knows nothing of ours: the standard library's HTTP over mutual TLS, and
assertions by `jwcrypto`, made as the vendor's samples make them.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from jwcrypto import jwe, jwk, jws

Json = Any

INNER: Final = {"alg": "RS256"}
OUTER: Final = {"alg": "RSA-OAEP-256", "enc": "A128CBC-HS256"}
ANSWERS_WITHIN: Final = 30.0


@dataclass(frozen=True)
class Answer:
    """What the backend was answered."""

    status: int
    content: bytes

    @property
    def body(self) -> Json:
        """The body, which is JSON."""
        return json.loads(self.content)


class Backend:
    """The application of the card's `softpos` member."""

    def __init__(self, member: Mapping[str, Json]) -> None:
        self.member = member
        self.client_id: str = member["client_id"]
        self.tids: Sequence[str] = member["terminal_ids"]
        self.key = jwk.JWK.from_pem(Path(member["private_key"]).read_bytes())
        self.tls = strict_tls(member)
        self._bearer = ""

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """One request on a connection of its own. Raises `OSError` when there is no handshake."""
        host = urlsplit(self.member["url"]).netloc
        connection = http.client.HTTPSConnection(
            host, context=tls or self.tls, timeout=ANSWERS_WITHIN
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def token(self, tls: ssl.SSLContext | None = None, **fields: str) -> Answer:
        """Ask for a bearer token; `fields` in place of the right ones."""
        told = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.member["client_secret"],
        }
        form = urlencode(told | fields).encode()
        return self.call("POST", "/softpos/appenrollment/token", form, FORM, tls)

    @property
    def bearer(self) -> str:
        """A bearer token, asked for once."""
        if not self._bearer:
            self._bearer = self.token().body["access_token"]
        return self._bearer

    def live_keys(self) -> list[jwk.JWK]:
        """The keys that assertions can be encrypted to."""
        entries = self.call("GET", "/softpos/par/jwks.json").body["keys"]
        return [jwk.JWK(**entry) for entry in entries]

    def claims(self, **changed: Json) -> dict[str, Json]:
        """An assertion's claims; None leaves one out."""
        now = int(time.time())
        told = {
            "appId": self.client_id,
            "pointOfSale": self.member["point_of_sale"],
            "terminal_ids": list(self.tids),
            "app_username_merchant": "till@shop.example",
            "app_deviceid": "a1b2c3",
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.member["url"],
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        }
        return {name: value for name, value in (told | changed).items() if value is not None}

    def assertion(
        self,
        claims: Mapping[str, Json] | None = None,
        *,
        key: jwk.JWK | None = None,
        inner: Mapping[str, str] = INNER,
        outer: Mapping[str, str] = OUTER,
        recipient: jwk.JWK | None = None,
    ) -> str:
        """The claims, signed and encrypted."""
        signed = sign(claims or self.claims(), key or self.key, inner)
        return seal(signed, recipient or self.live_keys()[0], outer)

    def check(
        self,
        body: Json,
        assertion: str | None = None,
        **headers: str,
    ) -> Answer:
        """Check Transaction; `headers` in place of the right ones."""
        told = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.bearer}",
            "client_assertion": self.assertion() if assertion is None else assertion,
            "client_id": self.client_id,
        }
        told |= headers
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", "/mpos-core/app/checkTransaction", content, told)

    def push(self, assertion: str | None = None, **fields: str) -> Answer:
        """A pushed authorisation request."""
        told = {
            "client_assertion": self.assertion() if assertion is None else assertion,
            "client_id": self.client_id,
            "scope": "oidc",
            "redirect_uri": self.member["redirect_uri"],
        }
        headers = {**FORM, "Authorization": f"Bearer {self.bearer}"}
        return self.call("POST", "/softpos/as/par", urlencode(told | fields).encode(), headers)


FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def strict_tls(member: Mapping[str, Json], *, certificate: bool = True) -> ssl.SSLContext:
    """What the strictest client does, with the application's certificate or without."""
    context = ssl.create_default_context(cafile=member["ca"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if certificate:
        context.load_cert_chain(member["certificate"], member["private_key"])
    return context


def sign(claims: Mapping[str, Json], key: jwk.JWK, header: Mapping[str, str] = INNER) -> str:
    """The inner token."""
    signed = jws.JWS(json.dumps(claims, separators=(",", ":")).encode())
    signed.add_signature(key, None, json.dumps(header))
    token: str = signed.serialize(compact=True)
    return token


def seal(text: str, recipient: jwk.JWK, header: Mapping[str, str] = OUTER) -> str:
    """The outer token."""
    sealed = jwe.JWE(text.encode(), json.dumps(header), algs=ALGORITHMS)
    sealed.add_recipient(recipient)
    token: str = sealed.serialize(compact=True)
    return token


ALGORITHMS: Final = ["RSA-OAEP-256", "A128CBC-HS256", "RSA1_5", "RSA-OAEP", "A256GCM", "dir"]
