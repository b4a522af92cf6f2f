"""ECR17, the Italian ECR-LAN protocol (source 000, "PosConnector / Scambio Importo"): tills that
speak it, and terminals that speak it."""
