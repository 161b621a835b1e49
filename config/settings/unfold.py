"""How the admin looks: title, colours, the sidebar, what is searched. What it shows is in `apps.console`."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

from config.env import env


def _model(title: str, name: str, icon: str, *, permission: str | None = None) -> dict[str, Any]:
    """A sidebar entry for a model's list; shown to whoever may see the model."""
    app, _, model = name.partition(".")
    needed = permission or f"{app}.view_{model}"
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(needed),
    }


def _page(title: str, link: Any, icon: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link}


def _flower(request: Any) -> str:
    return f"http://{request.get_host().partition(':')[0]}:{env.flower_port}/"


def _sandbox(request: Any) -> str:
    return f"http://{request.get_host().partition(':')[0]}:{env.sandbox_port}/"


_NAVIGATION = [
    {
        "title": "Desk",
        "items": [
            _page("Home", reverse_lazy("admin:index"), "space_dashboard"),
            _page("Live desk", "/desk/", "monitoring"),
        ],
    },
    {
        "title": "Trading",
        "separator": True,
        "items": [
            _model("Agents", "agents.agent", "smart_toy"),
            _model("Open positions", "trading.position", "candlestick_chart"),
            _model("Signals", "signals.tradingsignal", "sensors"),
            _model("Signal webhooks", "signals.signalwebhook", "webhook"),
            _model("Executions", "trading.signalexecution", "rule"),
            _model("Exit intents", "trading.exitintent", "output"),
            _model("Live orders", "trading.order", "currency_exchange"),
            _model("Stop rises", "trading.stopmove", "stairs"),
            _model("Closed trades", "trading.closedtrade", "task_alt"),
            _model("Dead tokens", "trading.deadtoken", "skull"),
            _model("Trading state", "trading.tradingstate", "emergency_home"),
            _model("Loss limits", "trading.losslimit", "shield"),
            _model("Results of the day", "trading.realisedtoday", "today"),
            _model("Token safety", "trading.tokensafetypolicy", "gpp_maybe"),
        ],
    },
    {
        "title": "Books",
        "separator": True,
        "collapsible": True,
        "items": [
            _model("Wallets", "wallets.wallet", "account_balance_wallet"),
            _model("Live keys", "wallets.livekey", "vpn_key"),
            _model("Differences from the chain", "wallets.walletdifference", "difference"),
            _model("Balances", "wallets.balance", "balance"),
            _model("Transactions", "wallets.transaction", "receipt_long"),
            _model("Ledger", "wallets.ledgerentry", "menu_book"),
            _model("Balance snapshots", "trading.balancesnapshot", "show_chart"),
        ],
    },
    {
        "title": "Market",
        "separator": True,
        "collapsible": True,
        "items": [
            _model("Tokens", "prices.token", "toll"),
            _model("Ticks", "prices.tick", "query_stats"),
            _model("Candles", "prices.candle", "candlestick_chart"),
        ],
    },
    {
        "title": "Webhooks",
        "separator": True,
        "collapsible": True,
        "items": [
            _model("Endpoints", "notify.webhookendpoint", "webhook"),
            _model("Deliveries", "notify.webhookdelivery", "local_shipping"),
            _model("Attempts", "notify.webhookattempt", "replay"),
            _model("Events", "notify.webhookmessage", "campaign"),
        ],
    },
    {
        "title": "People",
        "separator": True,
        "collapsible": True,
        "items": [
            _model("Users", "accounts.user", "person"),
            _model("Groups", "auth.group", "group"),
            _model("API keys", "accounts.apikey", "key"),
            _model("Second factors", "accounts.secondfactor", "phonelink_lock"),
            _model("API sessions", "accounts.refreshfamily", "devices"),
            _model("Admin sessions", "accounts.adminsession", "admin_panel_settings"),
            _model("Audit log", "accounts.auditentry", "history"),
        ],
    },
    {
        "title": "System",
        "separator": True,
        "collapsible": True,
        "items": [
            _model("Schedules", "django_celery_beat.periodictask", "schedule"),
            _model("Intervals", "django_celery_beat.intervalschedule", "timelapse"),
            _model("Crontabs", "django_celery_beat.crontabschedule", "event_repeat"),
            _model("Feed outbox", "core.outboxmessage", "outbox"),
            _model("Feed streams", "core.feedstream", "stream"),
            _model("Outbox readers", "core.outboxreader", "menu_book"),
            _model("Agent counters", "agents.agentstate", "counter_1"),
            _model("Revoked tokens", "accounts.revokedtoken", "block"),
            _model("Idempotency keys", "accounts.idempotencykey", "fingerprint"),
            _model("Unknown e-mails", "accounts.strangerattempts", "no_accounts"),
            _page("Jobs (Flower)", _flower, "engineering"),
            _page("API, to try out", "/api/docs/", "api"),
            _page("API, to read", "/api/redoc/", "menu_book"),
            *([_page("Sandbox market", _sandbox, "experiment")] if env.soldesk_demo else []),
        ],
    },
]

SOLDESK_ENV = env.soldesk_env

UNFOLD = {
    "SITE_TITLE": "Soldesk",
    "SITE_HEADER": "Soldesk",
    "SITE_SUBHEADER": "Trading desk for Solana",
    "SITE_URL": None,
    "SITE_ICON": lambda _request: static("admin_soldesk/mark.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("admin_soldesk/mark.svg")}
    ],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "8px",
    "ENVIRONMENT": "apps.console.dashboard.environment",
    "ENVIRONMENT_TITLE_PREFIX": "apps.console.dashboard.title_prefix",
    "LOGIN": {"form": "apps.accounts.own_forms.SignInForm"},
    "ACCOUNT": {
        "navigation": [
            {"title": "My account", "link": reverse_lazy("my_account")},
            {"title": "Second factor", "link": reverse_lazy("my_second_factor")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ]
    },
    "DASHBOARD_CALLBACK": "apps.console.dashboard.home",
    "STYLES": [
        lambda _request: static("admin_soldesk/soldesk.css"),
        lambda _request: static("admin_soldesk/story.css"),
        lambda _request: static("admin_soldesk/account.css"),
    ],
    "SCRIPTS": [lambda _request: static("admin_soldesk/soldesk.js")],
    "COLORS": {
        "base": {
            "50": "oklch(98.4% .003 247.858)",
            "100": "oklch(96.8% .007 247.896)",
            "200": "oklch(92.9% .013 255.508)",
            "300": "oklch(86.9% .022 252.894)",
            "400": "oklch(70.4% .04 256.788)",
            "500": "oklch(55.4% .046 257.417)",
            "600": "oklch(44.6% .043 257.281)",
            "700": "oklch(37.2% .044 257.287)",
            "800": "oklch(27.9% .041 260.031)",
            "900": "oklch(20.8% .042 265.755)",
            "950": "oklch(12.9% .042 264.695)",
        },
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(67.3% .182 276.935)",
            "500": "oklch(58.5% .233 277.117)",
            "600": "oklch(51.1% .262 276.966)",
            "700": "oklch(45.7% .24 277.023)",
            "800": "oklch(39.8% .195 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        },
    },
    "COMMAND": {
        "search_models": ["agents.agent", "prices.token", "accounts.user"],
        "show_history": True,
    },
    "SIDEBAR": {"show_search": True, "command_search": True, "show_all_applications": False, "navigation": _NAVIGATION},
}
