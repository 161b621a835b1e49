"""Django REST framework and its limits. The OpenAPI document has a page of its own."""

from config.env import env

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.api.authentication.Bearer",
        "apps.accounts.api.authentication.StaffSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.accounts.api.permissions.SignedIn"],
    "DEFAULT_RENDERER_CLASSES": [
        "apps.core.api.renderers.FastJSONRenderer",
        "apps.core.api.renderers.Browsable",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "apps.core.api.parsers.ExactJSONParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.core.api.negotiation.Lenient",
    "EXCEPTION_HANDLER": "apps.core.api.errors.handle",
    "DEFAULT_SCHEMA_CLASS": "apps.accounts.api.openapi.DescribedForCallers",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}

#: Requests of one address in one minute.
LOGINS_PER_MINUTE = env.logins_per_minute
REFRESHES_PER_MINUTE = env.refreshes_per_minute
WALLET_CHANGES_PER_MINUTE = env.wallet_changes_per_minute
DATA_SOURCES_PER_MINUTE = env.data_sources_per_minute
