"""What every later test stands on: virtual time, an in-memory network, a gateway to kill."""
