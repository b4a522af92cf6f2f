"""The side of nexo where tills connect: any till that speaks it pays on any terminal.

`poi.py` leads a message to its answer; `flat.py`, `held.py` and `stream.py` are the bindings.
"""
