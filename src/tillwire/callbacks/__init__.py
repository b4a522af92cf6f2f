"""How letters travel: from the journal's outbox to the addresses that want to be told."""
