"""An application on the vendor's SDK: does what it is told, and tells what came, a line each.

Runs in the SDK's environment: `python program.py ROOT APPLICATION_ID PRIVATE_KEY_FILE`. The SDK
knows the vendor's hosts only, so ROOT is put into its table of hosts under a name of its own.

    {"call": ["Business", "get_business"], "arguments": {...}}   a method of the SDK
    {"request": {...}}         the SDK's way to call what it has no method for
    {"token": null}            the access token that it has
    {"token": "..."}           the same, after it was given this one
"""

import json
import sys

import jwt
import poynt
import poynt.api

REGION = "tillwire"


def answer(told):
    """What the SDK makes of it."""
    api = poynt.API.shared_instance()
    if "token" in told:
        if told["token"] is not None:
            api.access_token = told["token"]
        return api.access_token
    if "request" in told:
        return api.request(**told["request"])
    name, method = told["call"]
    return getattr(getattr(poynt, name), method)(**told["arguments"])


def main():
    """Until standard input ends."""
    root, poynt.application_id, poynt.filename = sys.argv[1:]
    poynt.api.poynt_urls[REGION] = poynt.api.poynt_web_urls[REGION] = root
    poynt.region = REGION
    print(json.dumps({"PyJWT": jwt.__version__}), flush=True)
    for line in sys.stdin:
        try:
            said = {"answer": answer(json.loads(line))}
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises is its answer
            said = {"error": type(error).__name__, "words": str(error)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
