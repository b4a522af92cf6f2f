"""The side of Payment Bridge that reaches terminals: any till pays on a SmartPOS.

`driver.py` is the order of things, `callbacks.py` the face at which terminals tell what came of it.
"""
