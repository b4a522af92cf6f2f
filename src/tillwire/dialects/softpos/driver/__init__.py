"""The side of SoftPOS that reaches phones: any till pays there by a deep link, and Check
Transaction says what came of it.

`driver.py` is the order of things, `returns.py` the face to which phones come back.
"""
