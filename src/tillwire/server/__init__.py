"""Puts faces, engine and journal together, and serves them over HTTP and byte streams.

`gateway.py` is the whole; `dispatch.py` leads requests to faces by their path's prefix,
`listeners.py` and `protocol.py` own sockets, TLS and limits, `streams.py` does for what is not
HTTP, `pages.py` shows the gateway's own pages, and `process.py` runs it all until a signal says
stop.
"""
