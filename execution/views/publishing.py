"""The page that publishes a version."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from execution import limits
from execution.forms import PublishForm
from execution.models import Build, Upload
from execution.services import publishing
from execution.views import starter
from execution.views.displays import sent
from marketplace.lib.errors import AppError
from marketplace.models import Account, Hardware
from marketplace.views.visitor import Visitor, signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def publish(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The form; a good one leads to its build. An archive comes with it, or came in parts before."""
    machines = list(Hardware.objects.filter(is_active=True))
    form = PublishForm(
        *sent(request),
        machines=machines,
        registries=settings.IMAGE_REGISTRIES,
        initial={"slug": request.GET.get("name", "")},
    )
    if request.method == "POST" and form.is_valid():
        try:
            build = _publish(visitor.account, form.cleaned_data)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return redirect("build_detail", build.pk)
    context = {
        "section": "publish",
        "form": form,
        "uploaded": _uploaded(visitor, form["upload"].value()),
        "part_bytes": limits.PART_BYTES,
        "most_bytes": limits.MAX_ARCHIVE_BYTES,
        "starter": starter,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "execution/publish.html", context, status=status)


def _publish(account: Account, given: dict[str, Any]) -> Build:
    """What the form asks for. Raises what the services raise."""
    listing = publishing.Listing(
        slug=given["slug"],
        description=given["description"],
        hardware=given["hardware"],
        visibility=given["visibility"],
    )
    if given["source"] == "git":
        url, ref = given["git_url"], given["git_ref"]
        return publishing.publish_repository(account=account, listing=listing, url=url, ref=ref)
    if given["source"] == "image":
        return publishing.publish_image(
            account=account,
            listing=listing,
            reference=given["image"],
            username=given["image_username"],
            password=given["image_password"],
        )
    if archive := given["archive"]:
        name = archive.name or "upload.zip"
        return publishing.publish(account=account, listing=listing, archive=archive.file, archive_name=name)
    return publishing.publish_upload(account=account, listing=listing, upload_id=given["upload"])


def _uploaded(visitor: Visitor, upload_id: Any) -> Upload | None:
    """The complete upload that the form names: what is wrong elsewhere does not send the archive again."""
    mine = Upload.objects.for_account(visitor.account.pk).filter(pk=str(upload_id or "")[:26])
    return mine.exclude(path="").first()
