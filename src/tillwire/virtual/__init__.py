"""Virtual terminals: cards, scripts, faults, and an acquirer with a ledger of its own."""
