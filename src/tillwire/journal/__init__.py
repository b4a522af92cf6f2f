"""Durable truth: tables, statements, migrations, and the one writer that commits in groups."""
