"""The one typed settings object, read from the environment, `.env.<environment>` and `.env` (first found wins).

Django settings, Celery and the commands read `env` and nothing else reads `os.environ`.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.runtime import discover, private_keys

BASE_DIR = Path(__file__).resolve().parent.parent
DEVELOPMENT_PREFIX = "development-"
DEMO_PASSWORD = "soldesk-demo"  # noqa: S105 - the published password of the demo desk, refused in production

private_keys.drop(os.environ)
discover.apply_running_stack(os.environ)
#: A list given as `a,b` or as JSON; `_split_list` reads it.
Listed = Annotated[list[str], NoDecode]
_environment = os.environ.get("SOLDESK_ENV", "development")


class Env(BaseSettings):
    """Every setting a deployment can give, with its default for a fresh machine."""

    model_config = SettingsConfigDict(
        env_file=(BASE_DIR / ".env", BASE_DIR / f".env.{_environment}"),
        extra="ignore",
        env_ignore_empty=True,
    )

    soldesk_env: Literal["development", "test", "production"] = "development"
    debug: bool = False
    secret_key: SecretStr = SecretStr(DEVELOPMENT_PREFIX + "secret-key-of-no-value-0123456789abcdef")
    secret_key_fallbacks: SecretStr = Field(
        SecretStr(""), description="older SECRET_KEYs, comma-separated: what they sealed and signed stays readable"
    )
    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_PREFIX + "jwt-secret-of-no-value-0123456789abcdef")
    metrics_token: SecretStr | None = None
    metrics_dir: Path | None = Field(
        None, description="folder in which the processes of one machine keep their Prometheus figures together"
    )
    metrics_port: int | None = Field(None, ge=1, le=65535, description="scrape address of each process that is not web")
    metrics_host: str = Field("127.0.0.1", description="address METRICS_PORT listens on")

    database_url: str = ""
    redis_url: str = ""

    port: int = 8000
    web_host: str = Field("127.0.0.1", description="address the web process listens on")
    static_root: Path | None = Field(None, description="folder of collected static files (Dockerfile)")
    sandbox_port: int = 8090
    flower_port: int = 5555
    web_processes: int = Field(
        default_factory=lambda: min(2, os.cpu_count() or 1), ge=1, description="processes that serve HTTP and the feed"
    )
    web_threads: int = Field(4, ge=1, description="threads of a web process that serve Django's WSGI application")
    allowed_hosts: Listed = ["localhost", "127.0.0.1", "[::1]"]
    csrf_trusted_origins: Listed = []
    cors_origin: str = ""
    trust_proxy: bool = Field(
        False,
        description="take the client address from X-Forwarded-For of one proxy hop",
    )

    admin_email: str = "admin@soldesk.local"
    admin_password: SecretStr = SecretStr(DEMO_PASSWORD)
    require_staff_totp: bool = Field(False, description="operators get nowhere before they have set up a second factor")
    soldesk_demo: bool = True
    sandbox_signal_key: SecretStr = SecretStr("")

    jupiter_url: str = ""
    jupiter_api_key: SecretStr = SecretStr("")
    jupiter_plan: str = ""
    dexscreener_url: str = ""
    pyth_url: str = ""
    pyth_api_key: SecretStr = SecretStr("")

    sandbox_rpc_port: int = Field(
        8899, ge=1, le=65532, description="first node of the local chain; its WebSocket is on the next port"
    )
    sandbox_slot_seconds: float = Field(0.4, gt=0, description="pace of the local chain")
    solana_rpc_urls: Listed = Field(
        [], description="JSON-RPC addresses of Solana nodes, comma-separated, two at best; default: the local chain"
    )
    solana_ws_urls: Listed = Field(
        [],
        description="their WebSocket addresses in the same order; default: the same hosts, the next port on loopback",
    )
    solana_rpc_calls_per_second: int | None = Field(
        None, ge=1, le=10_000, description="what each node allows; default: 10 of the public ones, 25 of others"
    )
    signer_socket: Path | None = Field(None, description="Unix socket of the signer; default: in the desk's home")
    live_max_slippage_bps: int = Field(1_000, ge=1, le=10_000, description="slippage no live order goes beyond")
    live_landing_route: Literal["node", "execute"] = Field(
        "node", description="who brings signed bytes to the chain: our nodes, or Jupiter's /execute"
    )
    live_swap_api: Literal["v2", "v1"] = Field(
        "v2", description="which of Jupiter's APIs builds live swaps; what v1 builds goes through our nodes"
    )
    live_max_fee_lamports: int = Field(
        10_000_000, ge=5_000, description="network, priority and tip together no live order goes beyond"
    )

    price_shards: int = Field(
        1, ge=1, le=64, description="workers that share the held tokens out, a queue prices.<n> each"
    )
    max_signal_age_seconds: int = Field(60, ge=1)
    max_entry_drift_percent: Decimal = Field(
        Decimal(10), ge=0, description="percent the price may move while a signal has to wait"
    )
    max_open_positions: int = Field(25, ge=1, description="open positions one agent may hold")
    write_off_after_minutes: int = Field(
        0, ge=0, description="minutes a token must have been dead before its positions are written off; 0: never"
    )
    write_off_minimum_checks: int = Field(
        5, ge=2, description="checks, 30 s apart at least, that must have found a token dead"
    )
    requests_per_minute: int = Field(
        12_000, ge=0, description="requests one address may make per minute and web process, over all routes; 0: any"
    )
    logins_per_minute: int = Field(5, ge=1, description="sign-ins one address may try per minute")
    refreshes_per_minute: int = Field(10, ge=1, description="sessions one address may refresh per minute")
    wallet_changes_per_minute: int = Field(5, ge=1, description="resets and the like of one wallet by one address")
    data_sources_per_minute: int = Field(30, ge=1, description="looks of one address at the data sources per minute")
    signals_per_minute: int = Field(120, ge=1, description="signals one API key or webhook may post per minute")
    feed_sockets_per_user: int = Field(50, ge=1, description="feed sockets one user may have open, per web process")
    feed_sockets_per_process: int = Field(5_000, ge=1, description="feed sockets one web process serves")
    feed_message_bytes: int = Field(64 * 1024, ge=1024, description="longest message a feed client may send")
    feed_messages_per_second: int = Field(
        20, ge=1, description="messages a feed client may send; ten times that at once"
    )
    feed_snapshot_positions: int = Field(1_000, ge=1, description="positions one snapshot of the feed carries at most")
    feed_buffer_megabytes: int = Field(
        128, ge=1, description="what waits for slow feed clients in one web process; beyond it the slowest are cut off"
    )
    webhooks_allow_private: bool | None = Field(
        None, description="webhooks may go to private and loopback addresses, and over http; default: as SOLDESK_DEMO"
    )
    log_format: Literal["console", "json"] = "console"
    log_level: str = "INFO"

    @field_validator("allowed_hosts", "csrf_trusted_origins", "solana_rpc_urls", "solana_ws_urls", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [item.strip() for item in value.split(",") if item.strip()]

    @model_validator(mode="after")
    def _production_is_strict(self) -> Env:
        if not self.database_url or not self.redis_url:
            raise ValueError(
                "DATABASE_URL and REDIS_URL are not set and no desk is running here: start one with `make up`"
            )
        if self.soldesk_env != "production":
            return self
        for name in ("secret_key", "jwt_secret"):
            secret = getattr(self, name).get_secret_value()
            if secret.startswith(DEVELOPMENT_PREFIX) or len(secret) < 32:
                raise ValueError(f"{name.upper()} must be a secret of at least 32 characters in production")
        if self.admin_password.get_secret_value() == DEMO_PASSWORD:
            raise ValueError("ADMIN_PASSWORD is the published demo password: set another one in production")
        if self.soldesk_demo:
            raise ValueError("SOLDESK_DEMO must be 0 in production: the sandbox never runs there")
        if self.debug:
            raise ValueError("DEBUG must be off in production")
        return self

    @property
    def production(self) -> bool:
        return self.soldesk_env == "production"

    @property
    def sandbox_url(self) -> str:
        """Base URL of the local market; empty when the desk talks to the real providers."""
        return f"http://127.0.0.1:{self.sandbox_port}" if self.soldesk_demo else ""


@cache
def load() -> Env:
    """Read the settings once per process."""
    return Env()  # type: ignore[call-arg]


env = load()
