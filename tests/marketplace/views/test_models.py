"""The models list and the model page."""

from __future__ import annotations

import html
import importlib
import re

import pytest
from django.test import Client
from django.urls import resolve

from marketplace.models import Account, Model, Version
from marketplace.services import accounts, prices
from tests.factories.marketplace import EndpointFactory, HardwareFactory, ModelFactory, account

pytestmark = pytest.mark.django_db


def names(page: str) -> list[str]:
    """The models of a list, in its order."""
    return re.findall(r'<a class="cover" href="/([^"]+)"', page)


@pytest.fixture
def shelf() -> None:
    """Three models: a cheap one, a dear one that sees, and one with no endpoint."""
    EndpointFactory(
        model=ModelFactory(slug="cheap", context_length=8192), prices={"prompt": 10**8, "completion": 10**8}
    )
    seeing = ModelFactory(slug="seeing", input_modalities=["text", "image"], context_length=200_000)
    EndpointFactory(model=seeing, prices={"prompt": 3 * 10**9, "completion": 15 * 10**9})
    ModelFactory(slug="idle", context_length=32_768)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"acme/cheap", "acme/seeing", "acme/idle"}),
        ("?q=see", {"acme/seeing"}),
        ("?q=acme+chea", {"acme/cheap"}),
        ("?input=image", {"acme/seeing"}),
        ("?max_price=0.5", {"acme/cheap"}),
        ("?context=128000", {"acme/seeing"}),
        ("?max_price=nonsense&context=nonsense", {"acme/cheap", "acme/seeing", "acme/idle"}),
        ("?q=nothing-like-it", set()),
    ],
)
def test_filters_narrow_the_list(client: Client, shelf: None, query: str, found: set[str]) -> None:
    assert set(names(client.get(f"/models{query}").content.decode())) == found


def test_a_provider_filter_shows_what_it_serves(client: Client, shelf: None) -> None:
    slug = Model.objects.get(slug="cheap").endpoints.get().provider.slug
    assert names(client.get(f"/models?provider={slug}").content.decode()) == ["acme/cheap"]


def test_sorted_by_price_the_unserved_come_last(client: Client, shelf: None) -> None:
    assert names(client.get("/models?sort=price").content.decode()) == ["acme/cheap", "acme/seeing", "acme/idle"]


def test_what_counts_no_input_shows_what_it_counts_and_is_not_the_cheapest_input(client: Client, shelf: None) -> None:
    EndpointFactory(model=ModelFactory(slug="painter"), prices={"image": 40_000_000 * 1_000_000})
    page = client.get("/models?sort=price").content.decode()
    assert names(page) == ["acme/cheap", "acme/seeing", "acme/painter", "acme/idle"]
    assert "<strong>$0.04</strong><small>/image</small>" in page


def test_htmx_gets_the_results_alone(client: Client, shelf: None) -> None:
    part = client.get("/models?q=cheap", headers={"HX-Request": "true", "HX-Target": "results"}).content.decode()
    assert names(part) == ["acme/cheap"]
    assert "<html" not in part
    told = part.index('id="results-count" role="status">1 of 3 models')  # outside: what is replaced is not read out
    assert told < part.index('id="results"')


def test_the_number_of_queries_does_not_grow_with_the_models(
    client: Client, shelf: None, django_assert_max_num_queries: object
) -> None:
    for _ in range(10):
        EndpointFactory()
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        client.get("/models")


def test_model_page_shows_every_offer_with_exact_prices(client: Client) -> None:
    model = ModelFactory(slug="two")
    EndpointFactory(model=model, prices={"prompt": 32_000_000, "completion": 128_000_000}, quantization="fp8")
    EndpointFactory(model=model, prices={"prompt": 10**9, "completion": 10**9})
    page = client.get("/acme/two").content.decode()
    assert "$0.032" in page
    assert "$0.128" in page
    assert "fp8" in page
    assert page.count("simulated") >= 2


def test_model_page_shows_prices_under_conditions(client: Client) -> None:
    prices = {"prompt": 10**9, "completion": 10**9, "prompt>200000": 2 * 10**9, "completion@1630-0030": 5 * 10**8}
    EndpointFactory(model=ModelFactory(slug="long"), prices=prices)
    page = client.get("/acme/long").content.decode()
    assert "above 200,000 prompt tokens: prompt $2.00/M tokens" in page
    assert "16:30 to 00:30 UTC: completion $0.50/M tokens" in page


def test_snippets_name_the_variable_and_never_a_key(alice: Client) -> None:
    EndpointFactory(model=ModelFactory(slug="one"))
    alice.post("/playground/key", headers={"Origin": "http://testserver"})
    page = alice.get("/acme/one").content.decode()
    assert "$TURNPIKE_API_KEY" in page
    assert "http://testserver/api/v1/chat/completions" in page
    assert "sk-tp-" not in page


@pytest.mark.parametrize(
    ("gives", "path", "module"),
    [
        ("embeddings", "/api/v1/embeddings", "embeddings"),
        ("rerank", "/api/v1/rerank", "rerank"),
        ("speech", "/api/v1/audio/speech", "speech"),
        ("image", "/api/v1/images", "images"),
        ("video", "/api/v1/videos", "videos"),
    ],
)
def test_a_model_that_does_not_chat_shows_a_call_that_its_operation_understands(
    client: Client, gives: str, path: str, module: str
) -> None:
    made = ModelFactory.create(slug="one", output_modalities=[gives])
    prices.set_prices(endpoint=EndpointFactory.create(model=made, output_modalities=[gives]), prices={"request": 10**9})
    page = html.unescape(client.get("/acme/one").content.decode())
    found = re.search(rf"curl http://testserver{path} .*? -d '(.*?)'", page, re.DOTALL)
    assert found
    asked = importlib.import_module(f"routing.ingress.{module}").parse(found[1].encode())
    asked = asked[0] if isinstance(asked, tuple) else asked  # a film's has the address for its end beside it
    assert asked.wanted_models == ("acme/one",)
    resolve(path)  # raises where nothing answers
    assert "Input from" not in page  # nothing of it is priced by tokens
    assert "$1.00" in page


def test_a_hosted_model_shows_its_hardware_price_and_versions(client: Client) -> None:
    hardware = HardwareFactory.create(sku="cpu")
    prices.set_prices(hardware=hardware, prices={"hardware_ms": 100_000_000})
    model = ModelFactory.create(slug="shapes", hardware=hardware)
    Version.objects.create(id="ab" * 32, model=model, cog_version="0.16", openapi_schema={}, build_path="x")
    page = client.get("/acme/shapes").content.decode()
    assert "$0.0001" in page
    assert "abababababab" in page
    assert "/v1/predictions" in page


def test_a_private_model_is_there_for_its_publisher_only(alice: Client, charlie: Client, client: Client) -> None:
    publisher = accounts.publisher_of(account=account(email="alice@example.com"))
    ModelFactory(publisher=publisher, slug="secret", visibility=Model.Visibility.PRIVATE)
    assert alice.get("/alice/secret").status_code == 200
    assert names(alice.get("/models").content.decode()) == ["alice/secret"]
    for other in (charlie, client):
        assert other.get("/alice/secret").status_code == 404
        assert names(other.get("/models").content.decode()) == []


@pytest.mark.parametrize("path", ["/nobody/nothing", "/keys/nothing", "/api/nothing-here"])
def test_unknown_addresses_are_404(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_an_empty_market_says_so(client: Client) -> None:
    assert "No models yet" in client.get("/models").content.decode()
    assert "No models yet" in client.get("/").content.decode()
    assert "No providers yet" in client.get("/providers").content.decode()


def test_readme_and_description_are_shown_as_markdown_and_other_hosts_pictures_only_then(client: Client) -> None:
    ModelFactory(slug="plain", description="**Fast** <script>alert(1)</script>")
    page = client.get("/acme/plain")
    assert "<strong>Fast</strong>" in page.content.decode()
    assert "<script>alert" not in page.content.decode()
    assert "Fast alert(1)" in client.get("/models").content.decode()
    Model.objects.filter(slug="plain").update(readme="# Use\n\n![map](https://b.example/map.png)")
    pictured = client.get("/acme/plain")
    assert '<h2 id="readme-use">Use</h2>' in pictured.content.decode()
    assert "img-src 'self' data: blob: https:;" in pictured.headers["Content-Security-Policy"]
    assert "https:" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("sort", ["", "newest", "price", "context", "name"])
def test_what_nobody_can_run_comes_last_in_every_order(client: Client, shelf: None, sort: str) -> None:
    cpu = HardwareFactory(sku="cpu")
    ModelFactory(slug="a-promise", hardware=cpu, context_length=1_000_000)
    assert names(client.get(f"/models?sort={sort}").content.decode())[-2:] in (
        ["acme/a-promise", "acme/idle"],
        ["acme/idle", "acme/a-promise"],
    )


def test_whoever_owns_a_model_without_a_version_is_shown_the_way_to_one(client: Client, alice: Client) -> None:
    owner = Account.objects.get(members__user__email="alice@example.com")
    ModelFactory(slug="mine", hardware=HardwareFactory(sku="cpu"), publisher__slug="alice", publisher__account=owner)
    ModelFactory(slug="theirs", hardware=HardwareFactory(sku="cpu"))  # of a publisher that nobody has claimed
    way = "/publish?name=mine"
    for path in ("/models", "/alice/mine"):
        assert way in alice.get(path).content.decode()
        assert "/publish?name=" not in client.get(path).content.decode()
    assert "No version yet" in client.get("/alice/mine").content.decode()
    assert "/publish?name=theirs" not in alice.get("/models").content.decode()


def test_names_are_found_without_the_signs_between_their_letters(client: Client) -> None:
    EndpointFactory(model=ModelFactory(slug="llama-3.3-70b"))
    EndpointFactory(model=ModelFactory(slug="gpt-4o"))
    for typed, found in (
        ("gpt4o", "acme/gpt-4o"),
        ("llama3.3", "acme/llama-3.3-70b"),
        ("ACME+Llama", "acme/llama-3.3-70b"),
    ):
        assert names(client.get(f"/models?q={typed}").content.decode()) == [found]


def test_a_hosted_model_that_is_paid_by_tokens_is_found_by_its_price(client: Client) -> None:
    hosted = ModelFactory(slug="echo", hardware=HardwareFactory(sku="cpu"))
    EndpointFactory(model=hosted, prices={"prompt": 10**8, "completion": 10**8})
    by_time = ModelFactory(slug="timed", hardware=HardwareFactory(sku="cpu"))
    EndpointFactory(model=by_time, prices={"hardware_ms": 10**6})
    assert names(client.get("/models?max_price=0.5").content.decode()) == ["acme/echo"]
