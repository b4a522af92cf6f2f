"""The sandbox: the gateway with a virtual estate, in which a till is developed.

`virtual_estate.py` says what there is, `keyring.py` keeps its secrets and `certificates.py` its
certificates, `nexo.py` places the nexo faces, `card.py` writes the sandbox card for tills and
tools, `guide.py` tells people how to pay, and `run.py` starts it all.
"""
