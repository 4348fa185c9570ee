"""Pages about money: keys with what they spent, usage, credits. Roles: see marketplace.views."""
