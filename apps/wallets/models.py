"""Wallets, the live keys the signer holds, and the books: balances, the append-only ledger, transactions."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent, TradingMode
from apps.core.enums import Badge
from apps.core.fields import (
    AmountField,
    MintField,
    PercentField,
    PriceField,
    SolField,
    UsdField,
)
from apps.core.money import MONEY


class Wallet(models.Model):
    """A wallet of an agent while assigned; releasing frees address and place, the row and its books stay.

    `epoch` rises with every reset: books are read by (wallet, epoch), older epochs are history.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    address = models.CharField(max_length=64)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="wallets")
    wallet_type = models.CharField(max_length=12, choices=TradingMode.choices)
    epoch = models.PositiveIntegerField(default=1)
    chain_slot = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text="Newest slot of the chain that these books reflect; older answers of a node are refused.",
    )
    unreconciled_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when the chain holds something else than the books say, unexplained; nothing is bought until "
        "it is explained.",
    )
    released_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "wallet"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["address"],
                condition=models.Q(released_at=None),
                name="wallet_address_in_use",
            ),
            models.UniqueConstraint(
                fields=["agent", "wallet_type"],
                condition=models.Q(released_at=None),
                name="wallet_one_per_type",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Network(Badge):
    """Where a key's wallet lives, in the words of the dialect."""

    MAINNET = "mainnet", "Mainnet"
    TESTNET = "testnet", "Testnet: no real money"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"mainnet": "danger", "testnet": "info"}


class KeySource(Badge):
    """Where the signer has a key from."""

    ENV = "env", "Environment"
    FILE = "file", "Encrypted file"


class LiveKey(models.Model):
    """A key the signer holds, by its address: all that the desk ever knows of it.

    Written when the signer says what it has loaded; a key that is gone stays, not loaded. Staff may assign every
    loaded key, others only those they were allowed (`LiveKeyGrant`).
    """

    address = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=60, blank=True, help_text="What the signer calls it, e.g. WALLET_1.")
    source = models.CharField(max_length=4, choices=KeySource.choices)
    network = models.CharField(max_length=8, choices=Network.choices, default=Network.MAINNET)
    loaded = models.BooleanField(default=False, help_text="The signer can sign with it now.")
    loaded_at = models.DateTimeField(null=True, blank=True, help_text="When the signer last loaded it.")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "live_key"
        ordering = ["address"]

    def __str__(self) -> str:
        return self.name or self.address


class LiveKeyGrant(models.Model):
    """A user without staff rights who may see a live key and assign it to their agents. Written by operators."""

    key = models.ForeignKey(LiveKey, on_delete=models.CASCADE, related_name="grants", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "live_key_grant"
        ordering = ["-created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["key", "user"], name="live_key_grant_once")]

    def __str__(self) -> str:
        return f"{self.key_id} for {self.user_id}"


class Balance(models.Model):
    """What a wallet holds of a mint now, in whole tokens. Changed only by `wallets.services` under the wallet's lock.

    Invariant: `amount` + `held` is the sum of the wallet's ledger entries of its epoch. What an order reserves moves
    from `amount` to `held`, and back or out of the wallet when it ends.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="balances", db_index=False)
    mint = MintField()
    symbol = models.CharField(max_length=50, blank=True)
    amount = AmountField(default=0, help_text="Free whole tokens.")
    held = AmountField(default=0, help_text="Whole tokens reserved for orders under way.")
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "balance"
        constraints = [
            models.UniqueConstraint(fields=["wallet", "mint"], name="balance_wallet_mint"),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="balance_amount_not_negative"),
            models.CheckConstraint(condition=models.Q(held__gte=0), name="balance_held_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.total.normalize():f} {self.symbol or self.mint}"

    @property
    def total(self) -> Decimal:
        """What the wallet has: free and put aside."""
        return self.amount + self.held


class TransactionType(Badge):
    """What moved."""

    DEPOSIT = "deposit", "Deposit"
    SWAP = "swap", "Swap"
    BURN = "burn", "Burn"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"deposit": "success", "swap": "info", "burn": "danger"}


class Origin(Badge):
    """Who wrote a row of the books: only rows entered by hand may be corrected."""

    ENGINE = "engine", "Engine"
    HAND = "hand", "By hand"
    CORRECTION = "correction", "Correction"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"engine": "muted", "hand": "info", "correction": "warning"}


def _listed(name: str, condition: models.Q | None = None) -> models.Index:
    """Return an index for lists of an agent's transactions, newest first."""
    return models.Index(
        fields=["agent", "-transaction_time", "-id"],
        include=["wallet", "epoch"],
        condition=models.Q(deleted_at=None) & (condition or models.Q()),
        name=name,
    )


class Transaction(models.Model):
    """One movement of a wallet: a deposit, a swap (a fill), a burn. Its ledger entries say what balances did.

    `agent` is the wallet's, kept beside it for reading; the database checks the wallet, the audit that both agree.

    Rows of the engine never change. A row entered by hand (`services.hand_rows`) may be corrected: its ledger entries
    are posted back and those of its new content are added, under the same row. Deleting it posts them back and marks
    it: it is hidden from lists, and the audit expects nothing left of it in the ledger.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, related_name="transactions", db_index=False, db_constraint=False
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="transactions", db_index=False)
    epoch = models.PositiveIntegerField()
    transaction_type = models.CharField(max_length=8, choices=TransactionType.choices)
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.ENGINE)
    position = models.ForeignKey(
        "trading.Position",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="fills",
    )
    signal = models.ForeignKey(
        "signals.TradingSignal",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="transactions",
    )
    corrects = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="corrected_by", db_index=False
    )
    transaction_time = models.DateTimeField()
    value_usd = UsdField(null=True, blank=True, help_text="USD; empty while SOL/USD was unknown.")
    input_mint = MintField(null=True, blank=True)
    input_symbol = models.CharField(max_length=50, null=True, blank=True)
    input_amount = AmountField(null=True, blank=True, help_text="Whole tokens that left.")
    input_price = PriceField(null=True, blank=True, help_text="SOL per whole input token.")
    output_mint = MintField(null=True, blank=True)
    output_symbol = models.CharField(max_length=50, null=True, blank=True)
    output_amount = AmountField(null=True, blank=True, help_text="Whole tokens that came in.")
    output_price = PriceField(null=True, blank=True, help_text="SOL per whole output token.")
    slippage_percent = PercentField(null=True, blank=True)
    price_impact = PercentField(null=True, blank=True, help_text="Signed fraction; positive is a loss.")
    network_fee_sol = SolField(null=True, blank=True)
    protocol_fee_sol = SolField(null=True, blank=True)
    fees_sol = SolField(null=True, blank=True, help_text="Fees as entered by hand.")
    is_dca = models.BooleanField(default=False)
    is_take_profit = models.BooleanField(default=False)
    transaction_hash = models.CharField(max_length=100, null=True, blank=True)
    destination_address = models.CharField(max_length=255, null=True, blank=True)
    routes = models.JSONField(null=True, blank=True)
    swap_payload = models.JSONField(null=True, blank=True, help_text="The provider's quote, as received.")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Entered by hand, and taken back.")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "transaction"
        ordering = ["-transaction_time", "-id"]
        indexes = [
            # Lists and their counts read these alone; the last three are for filters that few rows pass.
            _listed("transaction_agent_listed"),
            _listed("transaction_agent_rare_type", ~models.Q(transaction_type=TransactionType.SWAP)),
            _listed("transaction_agent_dca", models.Q(is_dca=True)),
            _listed("transaction_agent_take_profit", models.Q(is_take_profit=True)),
            models.Index(fields=["wallet", "epoch"], name="transaction_wallet_epoch"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["corrects"], condition=models.Q(corrects__isnull=False), name="transaction_corrected_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.transaction_type} {self.id}"


class LedgerReason(Badge):
    """Why a balance moved. Fees are lines of their own."""

    SWAP = "swap", "Swap"
    DEPOSIT = "deposit", "Deposit"
    BURN = "burn", "Burn"
    NETWORK_FEE = "network_fee", "Network fee"
    PRIORITY_FEE = "priority_fee", "Priority fee"
    TIP = "tip", "Tip"
    PROTOCOL_FEE = "protocol_fee", "Protocol fee"
    ADJUSTMENT = "adjustment", "Adjustment by hand"
    CORRECTION = "correction", "Correction"
    RESET = "reset", "Wallet reset"
    WITHDRAWAL = "withdrawal", "Withdrawal seen on chain"
    RENT = "rent", "Rent deposit"


class LedgerEntry(models.Model):
    """One change of one balance. Append-only: a trigger refuses update and delete.

    Wallet and transaction are written in the same breath and can never be deleted: constraints here would only cost
    every booking, and the audit checks them.
    """

    id = models.BigAutoField(primary_key=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="ledger", db_index=False, db_constraint=False
    )
    epoch = models.PositiveIntegerField()
    mint = MintField()
    delta = AmountField(help_text="Whole tokens; negative left the wallet.")
    reason = models.CharField(max_length=14, choices=LedgerReason.choices)
    transaction = models.ForeignKey(
        Transaction, null=True, on_delete=models.PROTECT, related_name="ledger", db_constraint=False
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "ledger_entry"
        verbose_name_plural = "ledger entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["wallet", "epoch", "mint"], name="ledger_wallet_epoch_mint")]

    def __str__(self) -> str:
        return f"{self.delta:+f} {self.mint} ({self.reason})"


class DifferenceStatus(Badge):
    """What became of a difference between a live wallet's books and the chain."""

    SUSPECTED = "suspected", "Suspected: not every node says so"
    OPEN = "open", "Unexplained"
    GONE = "gone", "Gone by itself"
    ADOPTED = "adopted", "Adopted"
    IGNORED = "ignored", "Ignored"
    WRITTEN_OFF = "written_off", "Written off"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "suspected": "warning",
            "open": "danger",
            "gone": "muted",
            "adopted": "success",
            "ignored": "muted",
            "written_off": "info",
        }


class WalletDifference(models.Model):
    """What the chain holds of a mint in a live wallet beyond what its books say, or less, and what became of it.

    Written by reconciliation (`services.reconciling`); ended by it when books and chain agree again, or by an operator
    (`services.differences`). OPEN ones stop the wallet's buys, SUSPECTED ones only tell. At most one of a wallet, epoch
    and mint is either; an IGNORED one stands for exactly its amount.
    """

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="differences", db_index=False)
    epoch = models.PositiveIntegerField()
    mint = MintField()
    symbol = models.CharField(max_length=50, blank=True)
    status = models.CharField(max_length=11, choices=DifferenceStatus.choices)
    books_amount = AmountField(help_text="Whole tokens by the books when it was last looked at.")
    chain_amount = AmountField(help_text="Whole tokens the chain said; SOL includes wrapped SOL, and no rent.")
    slot = models.BigIntegerField(help_text="The slot the chain said it for.")
    nodes = models.CharField(max_length=500, blank=True, help_text="The nodes that say so.")
    looks = models.PositiveIntegerField(default=1, help_text="How many looks in a row have found it.")
    told_at = models.DateTimeField(null=True, blank=True, help_text="When its alert was sent.")
    first_seen_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    cost_sol = SolField(null=True, blank=True, help_text="What adopted tokens had cost, in SOL; empty for unknown.")
    transaction = models.ForeignKey(
        Transaction, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        db_table = "wallet_difference"
        ordering = ["-first_seen_at", "-id"]
        indexes = [models.Index(fields=["wallet", "epoch", "mint"], name="wallet_difference_of_mint")]
        constraints = [
            models.UniqueConstraint(
                fields=["wallet", "epoch", "mint"],
                condition=models.Q(status__in=["open", "suspected"]),
                name="wallet_difference_one_unexplained",
            )
        ]

    def __str__(self) -> str:
        return f"{self.difference.normalize(MONEY):+f} {self.symbol or self.mint}"

    @property
    def difference(self) -> Decimal:
        """Whole tokens the chain has more than the books; negative: less."""
        return MONEY.subtract(self.chain_amount, self.books_amount)
