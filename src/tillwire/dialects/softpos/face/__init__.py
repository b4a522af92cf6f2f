"""The server side: we are the backend that SoftPOS applications ask (source 001).

`face.py` has its paths, `access.py` says who calls, `keyset.py` keeps the keys that assertions are
encrypted to, `check.py` finds a transaction and `shown.py` tells it, `refusals.py` tells errors,
`mischief.py` does wrong where that is wanted.
"""
