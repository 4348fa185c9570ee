"""What billing does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {
    "billing-invariants": ("billing.check_invariants", 900.0),
    "billing-balances": ("billing.advance_balances", 10.0),
    "billing-hours": ("billing.close_hours", 300.0),
    "billing-credits": ("billing.expire_credits", 60.0),
    "billing-topups": ("billing.top_up", 10.0),
    "billing-inbox": ("billing.work_off_inbox", 30.0),
    "billing-payouts": ("billing.pay_out", 300.0),
    "billing-usage": ("billing.export_usage", 300.0),
    "billing-alerts": ("billing.watch_alerts", 30.0),
    "billing-walk": ("billing.walk", 86_400.0),
}
