"""The side of the MerchantAPI that reaches terminals: any till pays on a terminal that fetches its
payments from such a system.

`driver.py` is the order of things, `ladder.py` how a doubt becomes a fact.
"""
