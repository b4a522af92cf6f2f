"""tillwire: an open, self-hosted gateway between cash registers and card terminals.

What is imported here is the public Python API; everything else may move between versions.
"""

from tillwire.money import CURRENCIES, Currency, Money
from tillwire.version import __version__

__all__ = ["CURRENCIES", "Currency", "Money", "__version__"]
