"""nexo Sale-to-POI 3.1 in JSON (source 003): tills that speak it, and terminals that speak it."""
