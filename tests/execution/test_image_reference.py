"""References of images: where they may come from, and what is none. No I/O."""

import pytest

from execution.package import PackageError, read_image

DIGEST = "sha256:" + "0123456789abcdef" * 4
LISTED = frozenset({"registry.example.com", "127.0.0.1:5000"})


@pytest.mark.parametrize(
    ("reference", "name", "text"),
    [
        (
            "registry.example.com/maker/model",
            "registry.example.com/maker/model",
            "registry.example.com/maker/model:latest",
        ),
        ("127.0.0.1:5000/model:v1", "127.0.0.1:5000/model", "127.0.0.1:5000/model:v1"),
        (f"127.0.0.1:5000/model@{DIGEST}", "127.0.0.1:5000/model", f"127.0.0.1:5000/model@{DIGEST}"),
        (f"127.0.0.1:5000/a/b_c:v1@{DIGEST}", "127.0.0.1:5000/a/b_c", f"127.0.0.1:5000/a/b_c@{DIGEST}"),
    ],
)
def test_a_reference_is_read_as_an_engine_reads_it(reference: str, name: str, text: str) -> None:
    found = read_image(reference, registries=LISTED)
    assert (found.name, found.text) == (name, text)
    assert found.at(DIGEST) == f"{name}@{DIGEST}"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("model", "registry/repository:tag"),
        ("maker/model", "not from maker"),
        ("elsewhere.example.com/model", "may come from 127.0.0.1:5000, registry.example.com"),
        ("registry.example.com:5000/model", "not from registry.example.com:5000"),
        ("registry.example.com/Model", "registry/repository:tag"),
        ("registry.example.com/../model", "registry/repository:tag"),
        ("registry.example.com/model@sha256:1234", "registry/repository:tag"),
        ("https://registry.example.com/model", "registry/repository:tag"),
        ("name:word@registry.example.com/model", "registry/repository:tag"),
        ("registry.example.com/model:a b", "registry/repository:tag"),
        ("registry.example.com/" + "m" * 500, "registry/repository:tag"),
        ("", "registry/repository:tag"),
    ],
)
def test_what_is_none_is_told_what_to_write(reference: str, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        read_image(reference, registries=LISTED)


def test_a_site_without_registries_says_what_to_set() -> None:
    with pytest.raises(PackageError, match="TURNPIKE_IMAGE_REGISTRIES"):
        read_image("registry.example.com/model", registries=frozenset())
