"""The face of ECR17: tills pay on a virtual lane, which is the place of one terminal.

`settings.py` says what is optional, `places.py` which terminal a lane serves, `session.py` carries
the frames of one connection, `lane.py` decides what a request does at the terminal, `orders.py`
makes the engine's requests, `results.py` and `receipts.py` what the till reads.
"""
