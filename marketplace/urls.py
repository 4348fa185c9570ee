"""Root URLs. What stands above this floor is named by string."""

from django.contrib import admin
from django.urls import include, path

from marketplace.views.health import healthz

admin.autodiscover()
handler404 = "marketplace.api.errors.missing"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("staff/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("routing.urls")),
    path("", include("execution.urls")),
    path("", include("routing.web_urls")),
    path("", include("billing.web_urls")),
    path("", include("marketplace.web_urls")),
]
