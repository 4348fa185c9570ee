"""Parts of a payment: whatever goes back, its credit, tax and fee are the whole of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from billing import portions


@given(amount=st.integers(1, 10**6), fee=st.integers(0, 10**5), tax=st.integers(0, 10**6), data=st.data())
def test_portions_are_the_whole_of_what_is_cut(amount: int, fee: int, tax: int, data: st.DataObject) -> None:
    total = amount + fee + tax
    whole = portions.of(total, amount=amount, fee=fee, tax=tax, credit_left=amount, tax_left=tax)
    assert whole == portions.Portion(amount, tax, fee)
    gross = data.draw(st.integers(0, total))
    left = data.draw(st.integers(0, amount)), data.draw(st.integers(0, tax))
    part = portions.of(gross, amount=amount, fee=fee, tax=tax, credit_left=left[0], tax_left=left[1])
    assert part.credit + part.tax + part.fee == gross
    assert min(part.credit, part.tax, part.fee) >= 0
    assert part.credit <= left[0]
    assert part.tax <= left[1]
