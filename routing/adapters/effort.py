"""How much a model should think: levels of effort and budgets in tokens, each turned into the other."""

from typing import Final

from routing.canonical import ReasoningWish

# An effort as a share of the answer's cap, for dialects that take a budget in tokens.
EFFORT_PERCENT: Final = {
    "max": 95, "xhigh": 95, "high": 80, "medium": 50, "low": 20, "minimal": 10,
}  # fmt: skip
# The least share of the cap that a level stands for, between its own percentage and its neighbour's.
LEAST_PERCENT: Final = ((87, "xhigh"), (65, "high"), (35, "medium"), (15, "low"), (0, "minimal"))


def is_off(wish: ReasoningWish) -> bool:
    """Whether the caller asked for no thinking at all."""
    return wish.effort == "none" or (wish.enabled is False and wish.effort is None and wish.max_tokens is None)


def is_wanted(wish: ReasoningWish) -> bool:
    """Whether the caller asked for thinking, in whatever words."""
    return not is_off(wish) and bool(wish.effort or wish.max_tokens or wish.enabled)


def budget_of(wish: ReasoningWish, *, cap: int) -> int | None:
    """Tokens to think with: those asked for, or the effort's share of the answer's cap. None: nothing was said."""
    if wish.max_tokens is not None:
        return wish.max_tokens
    effort = wish.effort or ("medium" if wish.enabled else None)
    if effort not in EFFORT_PERCENT:
        return None
    return max(1, cap * EFFORT_PERCENT[effort] // 100)


def effort_of(wish: ReasoningWish, *, cap: int) -> str | None:
    """The level asked for, or the one whose share of the cap is nearest to the budget. None: nothing was said."""
    if wish.effort is not None:
        return wish.effort
    if wish.max_tokens is not None:
        share = wish.max_tokens * 100 // max(1, cap)
        return next(level for least, level in LEAST_PERCENT if share >= least)
    return "medium" if wish.enabled else None
