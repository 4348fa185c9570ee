"""What is found in texts, what is not, and that no pattern takes long."""

from __future__ import annotations

import time

import pytest

from marketplace.lib.screening import BUILTINS, BadPattern, Filter, check_pattern, screen


def redact(slug: str) -> Filter:
    return Filter(label="X", action="redact", slug=slug)


@pytest.mark.parametrize(
    ("slug", "found"),
    [
        ("email", "bob.o'neil+tag@mail.example.co.uk"),
        ("phone", "650-253-0000"),
        ("phone", "(650) 253-0000"),
        ("phone", "+49 30 901820"),
        ("phone", "+44 20 7946 0018"),
        ("ssn", "536-90-4399"),
        ("credit-card", "4111 1111 1111 1111"),
        ("credit-card", "378282246310005"),
        ("ip-address", "192.168.10.254"),
        ("ip-address", "2001:db8::8a2e:370:7334"),
    ],
)
def test_personal_data_is_taken_out(slug: str, found: str) -> None:
    text = screen(f"before {found} after", [redact(slug)]).text
    assert text.startswith("before ")
    assert text.endswith("[X] after")
    assert found[-6:] not in text


@pytest.mark.parametrize(
    ("slug", "harmless"),
    [
        ("email", "user at example dot com, @handle, a@b"),
        ("phone", "order 1234567890123456, 2024-01-01, 3.14159, 10 000 000"),
        ("ssn", "000-12-3456, 666-12-3456, 123-456-789"),
        ("credit-card", "4111 1111 1111 1112, 1234567890123"),
        ("ip-address", "999.1.1.1, 12:30:45, version 1.2.3"),
    ],
)
def test_what_only_looks_like_it_stays(slug: str, harmless: str) -> None:
    assert screen(harmless, [redact(slug)]).text == harmless


def test_text_beside_other_scripts_stays_whole() -> None:
    assert screen("é日本 bob@example.com 🚀", [redact("email")]).text == "é日本 [X] 🚀"


def test_blocks_are_found_in_the_text_as_it_came() -> None:
    found = screen("bob@example.com", [redact("email"), Filter(label="Mail", action="block", slug="email")])
    assert found.blocked_by == ("Mail",)


def test_patterns_redact_and_block() -> None:
    secret = Filter(label="PROJECT", action="redact", pattern="PRJ-[0-9]{4}")
    assert screen("PRJ-1234 and PRJ-99", [secret]).text == "[PROJECT] and PRJ-99"
    stop = Filter(label="codename", action="block", pattern="(?i)bluebird")
    assert screen("about BlueBird", [secret, stop]).blocked_by == ("codename",)


@pytest.mark.parametrize("pattern", ["a(?=b)", "(a)\\1", "(", "x*", "", "a{5000}", "a" * 1001])
def test_patterns_that_cannot_be_used_are_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(BadPattern, match=r"RE2|empty|longer"):
        check_pattern(pattern)


def test_a_pattern_made_to_explode_does_not() -> None:
    evil = Filter(label="X", action="redact", pattern="(a+)+$|(a|aa)+b")
    started = time.process_time()
    screen("a" * 200_000 + "!", [evil])
    assert time.process_time() - started < 5  # a backtracking engine would outlive us


@pytest.mark.parametrize("slug", BUILTINS)
def test_a_large_text_is_read_in_linear_time(slug: str) -> None:
    started = time.process_time()
    screen("1" * 500_000 + ":" * 500_000 + "a." * 250_000, [redact(slug)])
    assert time.process_time() - started < 5
