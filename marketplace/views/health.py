"""Whether this web process can serve: the database answers."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, JsonResponse

from marketplace.lib import pool


async def healthz(request: HttpRequest) -> JsonResponse:
    """200 with `{"status": "ok"}` once the database answers; 503 while it does not."""
    try:
        await pool.run(_ask_database)
    except Exception as error:  # any failure means not ready, and is named
        return JsonResponse({"status": "unavailable", "reason": type(error).__name__}, status=503)
    return JsonResponse({"status": "ok"})


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
