"""Django REST framework, tokens and the OpenAPI document."""

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
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Soldesk API",
    "DESCRIPTION": "Trading desk for Solana tokens: agents, signals, positions, books.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

#: Requests of one address in one minute.
LOGINS_PER_MINUTE = 5
REFRESHES_PER_MINUTE = 10
WALLET_CHANGES_PER_MINUTE = 5
DATA_SOURCES_PER_MINUTE = 30
