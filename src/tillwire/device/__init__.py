"""tillwire's own link for terminals that fetch their transactions from us."""
