"""The side of ECR17 that reaches terminals: any till pays on an ECR17 terminal.

`driver.py` is the order of things.
"""
