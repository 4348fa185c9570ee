"""What staff decide of a row on a page of its own: a form beside what is known of the case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from billing.admin.shown import Shown
from marketplace.lib.errors import AppError
from marketplace.models import User


class Deciding(Shown):
    """Rows that are shown only, and decided on by who may change them."""

    def decision(
        self,
        request: HttpRequest,
        row: Model,
        *,
        form: forms.Form,
        decide: Callable[[User], tuple[str, str]],
        title: str,
        template: str,
        known: Callable[[], Mapping[str, Any]],
    ) -> HttpResponse:
        """The page; sent, the decision, noted in the row's log.

        `decide` takes the decision of the form's cleaned data and gives the words for the log and for the screen; an
        AppError of its becomes the form's. `known` is what the template shows beside the form and the row itself.
        """
        opts = self.model._meta
        user = request.user
        if not isinstance(user, User) or not user.has_perm(f"{opts.app_label}.change_{opts.model_name}"):
            raise PermissionDenied
        if request.method == "POST" and form.is_valid():
            try:
                logged, told = decide(user)
            except AppError as error:
                form.add_error(None, error.message)
            else:
                self.log_change(request, row, logged)
                messages.success(request, told)
                return redirect(reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": opts,
            "form": form,
            str(opts.model_name): row,
            **known(),
        }
        return TemplateResponse(request, template, context, status=422 if form.errors else 200)
