"""What goes between a register and a SmartConnect cloud (source 002), to structures and back, for
the face and the driver alike: no network, no clock, no randomness.

A register writes forms (`forms.py`): `pairing.py` links it with a terminal, `transactions.py` has
the terminal do something, with what is sold in `sale_data.py`. The cloud answers in JSON:
`envelope.py` is how far it is and what came of it, `outcomes.py` what that says of the money,
`stamps.py` its moments. `cuts.py` keeps card numbers out of all of it.
"""
