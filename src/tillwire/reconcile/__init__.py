"""Reconciliation: what the till, the gateway and the acquirer say of the same sales, compared."""
