"""Stripe: payments in, refunds, disputes. Knows no table of ours; ids of ours travel as metadata."""
