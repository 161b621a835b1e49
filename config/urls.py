"""Every route of the desk. Unknown paths under /api/ answer JSON; `handler500` does for what no view could."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from apps.core.api import errors
from apps.core.api.document_views import Document

API = "api/v1/"


def health(request: HttpRequest) -> HttpResponse:
    """Send monitors that know the short path to the long one."""
    return HttpResponseRedirect("/api/v1/health")


urlpatterns = [
    path("", RedirectView.as_view(url="/desk/")),
    path("desk", RedirectView.as_view(url="/desk/")),
    path("desk/", include("apps.console.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", include("apps.accounts.own_urls")),
    path("admin/", admin.site.urls),
    path("health", health),
    path("favicon.ico", RedirectView.as_view(url="/static/admin_soldesk/mark.svg")),
    path("api/schema/", Document.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
    path(API, include("apps.signals.api.urls")),  # first: each route passed over costs a signal's request time
    path(API, include("apps.agents.api.urls")),
    path(API, include("apps.accounts.api.urls")),
    path(API, include("apps.wallets.api.urls")),
    path(API, include("apps.prices.api.urls")),
    path(API, include("apps.trading.api.urls")),
    path(API, include("apps.notify.api.urls")),
    path(API, include("apps.console.api.urls")),
    re_path(r"^api(/.*)?$", errors.unknown_route),
]

handler400 = "apps.core.api.errors.bad_request"
handler500 = "apps.core.api.errors.server_error"
