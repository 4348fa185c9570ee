"""The catalogue's pages: models, one model, providers."""

from __future__ import annotations

import datetime as dt

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.utils import timezone
from django.views.decorators.http import require_safe

from marketplace.forms import ModelsFilter
from marketplace.lib import markdown
from marketplace.middleware import policy
from marketplace.models import Version
from marketplace.services import browse, prices, watches
from marketplace.services.browse import Listing
from marketplace.services.prices import PriceChange
from marketplace.views import example_inputs, media_snippets, snippets
from marketplace.views.visitor import Visitor, public

PAGE_SIZE = 30
PRICES_SHOWN = dt.timedelta(days=90)
MOST_CHANGES = 20
RUN_FORM = "execution/components/run_form.html"
PERFORMANCE = "routing/components/performance.html"


@require_safe
@public
def models(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """The list; HTMX asks for the results alone."""
    account_id = visitor.account.pk if visitor else None
    everything = browse.models(account_id=account_id)
    inputs, outputs = browse.modalities(everything)
    providers = [(one.slug, one.name) for one in browse.providers()]
    form = ModelsFilter(request.GET, inputs=inputs, outputs=outputs, providers=providers)
    narrowed = form.narrowed()
    page = Paginator(browse.narrow(everything, narrowed=narrowed), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "section": "models",
        "form": form,
        "page": page,
        "total": len(everything),
        "sorts": browse.SORTS,
        "sort": narrowed.sort,
    }
    partial = request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == "results"
    response = render(request, "marketplace/models_results.html" if partial else "marketplace/models.html", context)
    response.headers["Vary"] = "HX-Request, HX-Target, Cookie"
    return response


@require_safe
@public
def model_detail(request: HttpRequest, visitor: Visitor | None, author: str, slug: str) -> HttpResponse:
    """One model: where it is served and at what price, a playground or a form to run it, code to paste."""
    listing = browse.model(full_slug=f"{author}/{slug}", account_id=visitor.account.pk if visitor else None)
    site_url = snippets.site_url(request)
    readme = markdown.render(listing.model.readme, anchors="readme-")
    context = {
        "section": "models",
        "listing": listing,
        "readme": readme,
        "price_changes": _price_changes(listing),
        "model": listing.model,
        "performance": PERFORMANCE if listing.offers and _exists(PERFORMANCE) else "",
        "is_watched": _is_watched(listing, visitor),
        "is_own": bool(visitor and listing.model.publisher.account_id == visitor.account.pk),
    }
    if listing.chats:
        context["snippets"] = snippets.chat(listing.model.full_slug, site_url=site_url)
    elif listing.offers:
        context["snippets"] = media_snippets.operation(
            listing.model.full_slug, outputs=listing.model.output_modalities, site_url=site_url
        )
    elif listing.version:
        version = Version.objects.get(pk=listing.version.pk)
        example = example_inputs.of(version.openapi_schema)
        context |= {
            "version": version,
            "snippets": snippets.prediction(listing.model.full_slug, version.pk, example=example, site_url=site_url),
            "run_form": RUN_FORM if _exists(RUN_FORM) else "",
        }
    response = render(request, "marketplace/model.html", context)
    if readme.has_pictures:
        response.headers["Content-Security-Policy"] = policy(pictures="https:")
    return response


@require_safe
@public
def providers(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """Who runs endpoints, and what they say about data."""
    return render(request, "marketplace/providers.html", {"section": "providers", "providers": browse.providers()})


def _is_watched(listing: Listing, visitor: Visitor | None) -> bool:
    return visitor is not None and watches.is_watched(account=visitor.account, user=visitor.user, model=listing.model)


def _price_changes(listing: Listing) -> list[tuple[str, PriceChange]]:
    """Provider's name and change, the latest first."""
    names = {offer.endpoint.pk: offer.endpoint.provider.name for offer in listing.offers}
    found = prices.changes(endpoint_ids=names, since=timezone.now() - PRICES_SHOWN)
    return [(names[one.endpoint_id], one) for one in found[:MOST_CHANGES]]


def _exists(template: str) -> bool:
    try:
        get_template(template)
    except TemplateDoesNotExist:
        return False
    return True
