"""The side of nexo that reaches terminals: any till pays on a nexo terminal.

`driver.py` is the order of things; `lines.py` and its neighbours are the bindings.
"""
