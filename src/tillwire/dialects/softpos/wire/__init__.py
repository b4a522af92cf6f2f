"""What goes over the backend of SoftPOS and MobilePOS (source 001), to structures and back, for the
face and the driver alike: no network, no clock.

`assertions.py` is the nested token with which an application signs each request, `keys.py` the keys
for it and the set of those it is encrypted to; `tokens.py` the bearer token and how it is asked
for, `par.py` the pushed authorisation request; `check.py` Check Transaction, `aliases.py` how a
client reads its answer, whose members are not published; `links.py` the deep links of the vendor's
app, and what it leads back with; `errors.py` what was refused. All stand on `reading.py` (octets).
"""
