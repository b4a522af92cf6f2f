"""The driver of Payment Bridge, and the face at which terminals call it."""
