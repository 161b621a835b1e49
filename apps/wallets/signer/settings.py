"""The signer's own configuration: from its environment and `.env.signer`, read by no other process.

On a demo desk it points at the local chain and market by itself.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.runtime import home as homes
from config.runtime.environment import ROOT
from config.runtime.signer_socket import default_socket

OWN_FILE = ROOT / ".env.signer"
LAMPORTS_PER_SOL = 10**9
Listed = Annotated[list[str], NoDecode]


class SignerSettings(BaseSettings):
    """Every setting of the signer; the prefix is SIGNER_."""

    model_config = SettingsConfigDict(
        env_prefix="SIGNER_",
        env_file=(ROOT / ".env", OWN_FILE),
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    rpc_urls: Listed = Field([], description="nodes the signer itself asks, comma-separated, in order of preference")
    price_kind: Literal["jupiter"] = Field("jupiter", description="what SIGNER_PRICE_URL is")
    price_url: str = Field("", description="base address of the signer's own price source")
    price_api_key: SecretStr = SecretStr("")
    price_max_age_seconds: float = Field(2.0, gt=0, le=60, description="how long a price may be used")
    programs: Listed = Field(
        [], description="programs a swap may touch; default: all that the price source's provider names"
    )
    helper_programs: Listed = Field(
        [], description="programs of venues that the provider does not name, checked by hand"
    )
    max_trade_sol: Decimal | None = Field(None, gt=0, description="SOL one buy may spend; default 0.1, demo 10")
    max_day_sol: Decimal | None = Field(
        None, gt=0, description="SOL that may be spent in 24 hours, fees included; default 1, demo 1000"
    )
    exit_reserve_sol: Decimal | None = Field(
        None, ge=0, description="part of the day's SOL that buys leave for the fees of sales; default a tenth"
    )
    max_slippage_bps: int = Field(1_500, ge=1, lt=10_000, description="how far below the own price a promise may be")
    max_impact_bps: int = Field(
        5_000, ge=0, lt=10_000, description="how far below its price a token's own quote may be when it is sold"
    )
    max_fee_lamports: int = Field(10_000_000, ge=5_000, description="network and priority fee of one transaction")
    key_dir: Path | None = Field(None, description="folder of the encrypted key files")
    state_file: Path | None = Field(None, description="what has been signed, and what of the caps is used up")
    socket: Path | None = Field(None, description="Unix socket it listens on")
    client_uids: Listed = Field([], description="accounts besides its own that may talk to it, by number")
    auto_lock_minutes: int = Field(0, ge=0, description="lock keys of files that have not signed for so long; 0: never")
    keys_fd: int | None = Field(None, description="open file in which the supervisor left WALLET_1, …")
    demo_wallet: bool = Field(True, description="make a wallet of play money when a demo desk's signer has no key")

    soldesk_home: str = Field("var", validation_alias="SOLDESK_HOME")
    soldesk_demo: bool = Field(True, validation_alias="SOLDESK_DEMO")
    sandbox_port: int = Field(8090, validation_alias="SANDBOX_PORT")
    sandbox_rpc_port: int = Field(8899, validation_alias="SANDBOX_RPC_PORT")
    log_format: Literal["console", "json"] = Field("console", validation_alias="LOG_FORMAT")
    log_level: str = Field("INFO", validation_alias="LOG_LEVEL")

    @field_validator("rpc_urls", "programs", "helper_programs", "client_uids", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [item.strip() for item in value.split(",") if item.strip()]

    @property
    def home(self) -> Path:
        return homes.locate({"SOLDESK_HOME": self.soldesk_home})

    @property
    def folder(self) -> Path:
        return self.home / "signer"

    @property
    def makes_demo_wallet(self) -> bool:
        return self.soldesk_demo and self.demo_wallet and not self.rpc_urls

    @property
    def in_home(self) -> bool:
        """Whether any of its files is in the desk's home."""
        return None in (self.key_dir, self.state_file, self.socket) or self.makes_demo_wallet

    @property
    def nodes(self) -> list[str]:
        if self.rpc_urls or not self.soldesk_demo:
            return self.rpc_urls
        return [f"http://127.0.0.1:{self.sandbox_rpc_port}", f"http://127.0.0.1:{self.sandbox_rpc_port + 2}"]

    @property
    def prices(self) -> str:
        if self.price_url:
            return self.price_url.rstrip("/")
        return f"http://127.0.0.1:{self.sandbox_port}/jupiter" if self.soldesk_demo else "https://api.jup.ag"

    @property
    def keys_folder(self) -> Path:
        return self.key_dir or self.folder / "keys"

    @property
    def ledger_file(self) -> Path:
        return self.state_file or self.folder / "signed.jsonl"

    @property
    def socket_path(self) -> Path:
        return self.socket or default_socket(self.home)

    @property
    def max_trade_lamports(self) -> int:
        return _lamports(self.max_trade_sol, "10" if self.soldesk_demo else "0.1")

    @property
    def max_day_lamports(self) -> int:
        return _lamports(self.max_day_sol, "1000" if self.soldesk_demo else "1")

    @property
    def exit_reserve_lamports(self) -> int:
        if self.exit_reserve_sol is None:
            return self.max_day_lamports // 10
        return _lamports(self.exit_reserve_sol, "0")


def load() -> SignerSettings:
    """Read the settings.

    Raises:
        pydantic.ValidationError: one is wrong; its text shows no value.
    """
    return SignerSettings()  # type: ignore[call-arg]  # every field has a default


def _lamports(sol: Decimal | None, default: str) -> int:
    return int((Decimal(default) if sol is None else sol) * LAMPORTS_PER_SOL)
