"""Where Stripe tells of what happened: one address for snapshot events, one for thin ones, a secret for each."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways.stripe import webhooks
from billing.services import inbox
from marketplace.lib.errors import AppError


@csrf_exempt  # who sends is told by the signature
@require_POST
def snapshot(request: HttpRequest) -> JsonResponse:
    """Events that carry their object."""
    return _take(request, settings.STRIPE_WEBHOOK_SECRET)


@csrf_exempt
@require_POST
def thin(request: HttpRequest) -> JsonResponse:
    """Events of API v2 that only name their object."""
    return _take(request, settings.STRIPE_THIN_WEBHOOK_SECRET)


def _take(request: HttpRequest, secret: str) -> JsonResponse:
    signature = request.headers.get("Stripe-Signature", "")
    try:
        event = webhooks.verified(body=request.body, signature=signature, secret=secret)
    except AppError as error:
        return JsonResponse({"error": {"message": error.message}}, status=error.status)
    return JsonResponse({"received": True, "done": inbox.receive(event)})
