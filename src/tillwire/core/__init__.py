"""What a transaction is and how it may move. Knows no protocol, and does no I/O of its own."""
