"""The newest of a family whose models come in several sizes."""

from __future__ import annotations

import pytest

from routing import families

# The newest first, as the catalogue gives them.
OPENAI = ["gpt-oss-20b", "gpt-oss-120b", "gpt-5.1-mini", "gpt-5.1", "gpt-5", "gpt-4o", "gpt-3.5-turbo-16k"]
GOOGLE = ["gemini-1.5-flash-8b", "gemini-1.5-flash", "gemma-3-4b-it", "gemma-3-27b-it", "gemma-2-9b-it"]
QWEN = ["qwen3-30b-a3b", "qwen3-8b", "qwen3-235b-a22b", "qwen-2.5-72b-instruct"]
META = ["llama-4-maverick-17b-128e", "llama-3.3-70b-instruct", "llama-3.1-405b-instruct"]


@pytest.mark.parametrize(
    ("slugs", "family", "found"),
    [
        (OPENAI, "gpt-oss", "gpt-oss-120b"),
        (OPENAI, "GPT-OSS", "gpt-oss-120b"),
        (OPENAI, "gpt-oss-20b", "gpt-oss-20b"),
        (OPENAI, "gpt", "gpt-5.1"),
        (OPENAI, "gpt-mini", "gpt-5.1-mini"),
        (OPENAI, "gpt-oss-7b", None),
        (GOOGLE, "gemini-flash", "gemini-1.5-flash"),  # the plain name, though its small one came later
        (GOOGLE, "gemini-flash-8b", "gemini-1.5-flash-8b"),
        (GOOGLE, "gemma-it", "gemma-3-27b-it"),
        (GOOGLE, "gemma-9b-it", "gemma-2-9b-it"),
        (QWEN, "qwen3", "qwen3-235b-a22b"),
        (META, "llama-instruct", "llama-3.3-70b-instruct"),  # the newest release, not the largest of all
        (META, "llama-maverick", "llama-4-maverick-17b-128e"),
        (["mixtral-8x7b", "mixtral-8x22b", "mixtral-10b"], "mixtral", "mixtral-8x22b"),
        (["big_70B", "big-8b"], "big", "big_70B"),
        ([], "gpt", None),
        (["70b"], "70b", "70b"),
    ],
)
def test_a_family_leads_to_its_newest_release_and_of_that_to_the_plain_or_largest_model(
    slugs: list[str], family: str, found: str | None
) -> None:
    assert families.latest(slugs=slugs, family=family) == found
