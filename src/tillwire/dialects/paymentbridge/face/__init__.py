"""The cloud of SmartPOS terminals, as cloud applications call it (source 000): `face.py` leads a
request to what serves it, and the teller (`teller.py`) writes what its caller is told.
"""
