"""Watching the gateway: structured logs that hold no secret, and metrics that hold no id."""
