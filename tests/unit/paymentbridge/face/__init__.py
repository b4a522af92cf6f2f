"""The face of Payment Bridge."""
