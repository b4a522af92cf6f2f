"""What goes over Payment Bridge and the cloud around it (source 000), to structures and back, for
the face and the driver alike: no network, no clock, no randomness.

`envelope.py` and `bridge.py` are a cloud message and the order inside it, `status.py` the
callbacks, `outcomes.py` what they and the REST list say of the money; `objects.py`, `places.py`,
`hooks.py` and `requests.py` are the bodies of the cloud's other resources, `filters.py` their
queries; `tokens.py` and `grants.py` say who calls, `errors.py` what was refused, `ids.py` what
things are called there, `devices.py` which devices operate. All stand on `fields.py` (members),
`reading.py` (octets) and `cuts.py` (card numbers).
"""
