"""Alerts about money: what accounts choose, what happened, and the watch over balances and limits.

An alert is written in the transaction of what it tells of, with a delivery for each way that the account chose
(services.deliveries); a crossing that is not over is not told again.
"""
