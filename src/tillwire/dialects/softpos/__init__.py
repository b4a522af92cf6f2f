"""SoftPOS and MobilePOS: one transaction asked for at the acquirer's backend (source 001)."""
