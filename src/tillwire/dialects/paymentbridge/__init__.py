"""Payment Bridge on the SmartPOS cloud (source 000): cloud messages in, callbacks out."""
