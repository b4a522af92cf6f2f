"""The face: a SmartConnect cloud of the shop's own, for registers that are paired with terminals
(source 002)."""
