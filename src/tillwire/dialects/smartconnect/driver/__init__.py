"""The side of SmartConnect that reaches terminals: any till pays through the vendor's cloud.

`driver.py` is the order of things, `pairing.py` how a terminal is linked with us before.
"""
