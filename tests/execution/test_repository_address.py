"""Addresses of repositories: what is one, and what only looks like one. No I/O."""

import pytest

from execution.package import PackageError, read_repository

HASH = "0123456789" * 4


@pytest.mark.parametrize(
    ("url", "means"),
    [
        (
            "https://git.example.com/maker/model.git",
            ("https://git.example.com/maker/model.git", "git.example.com", 443),
        ),
        ("HTTPS://Git.Example.com:443/maker/model", ("https://git.example.com/maker/model", "git.example.com", 443)),
        ("https://git.example.com:8443/m", ("https://git.example.com:8443/m", "git.example.com", 8443)),
        ("https://[2001:DB8::1]/m", ("https://[2001:db8::1]/m", "2001:db8::1", 443)),
        ("http://127.0.0.1:9001/m", ("http://127.0.0.1:9001/m", "127.0.0.1", 9001)),
    ],
)
def test_an_address_is_read_to_where_it_leads(url: str, means: tuple[str, str, int]) -> None:
    found = read_repository(url=url, plain_origins={"127.0.0.1:9001"})
    assert (found.url, found.host, found.port) == means
    assert found.ref == "HEAD"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc", "over https only"),
        ("/etc/passwd", "over https only"),
        ("ext::sh -c id", "https://host/path"),
        ("ext::sh%20-c%20id", "over https only"),
        ("ssh://git@host/m", "over https only"),
        ("git@host:maker/model.git", "over https only"),
        ("git://host/m", "over https only"),
        ("http://git.example.com/m", "over https only"),
        ("http://127.0.0.1:9002/m", "over https only"),
        ("ftp://host/m", "over https only"),
        ("--upload-pack=id", "over https only"),
        ("https://name:word@host/m", "Leave name and password out"),
        ("https://word@host/m", "Leave name and password out"),
        ("https://host/m?x=1", "has no \\?"),
        ("https://host/m#main", "has no \\?"),
        ("https://host", "no path"),
        ("https://host/a/../../b", "no path"),
        ("https:///m", "not a host"),
        ("https://-oProxyCommand=id/m", "not a host"),
        ("https://host./m", "not a host"),
        ("https://ho_st/m", "not a host"),
        ("https://0x7f000001/m", "not a host"),
        ("https://0177.0.0.1/m", "not a host"),
        ("https://127.1/m", "not a host"),
        ("https://2130706433/m", "not a host"),
        ("https://host:99999/m", "not a host"),
        ("https://①②⑦.⓪.⓪.①/m", "https://host/path"),
        ("https://host/m\nx", "https://host/path"),
        ("https://host/" + "m" * 500, "at most 500"),
        ("", "https://host/path"),
    ],
)
def test_what_is_none_is_told_what_to_write(url: str, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        read_repository(url=url, plain_origins={"127.0.0.1:9001"})


@pytest.mark.parametrize("ref", ["main", "v1.0", "release/2.x", HASH, " main "])
def test_a_branch_a_tag_and_a_commit_can_be_named(ref: str) -> None:
    assert read_repository(url="https://host/m", ref=ref).ref == ref.strip()


@pytest.mark.parametrize(
    "ref", ["-x", "--upload-pack=id", "a..b", "a:b", "+main", "^main", "a b", "main.lock", "a//b", "@{1}"]
)
def test_what_git_would_take_for_more_is_no_ref(ref: str) -> None:
    with pytest.raises(PackageError, match="40 hex"):
        read_repository(url="https://host/m", ref=ref)
