"""A live wallet of an agent and what the chain gives it and takes from it, with no transaction of the desk's."""

from __future__ import annotations

from decimal import Decimal

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.token.state import Mint, TokenAccount, TokenAccountState
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import get_associated_token_address

from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.wallets.models import Balance, Wallet, WalletDifference
from apps.wallets.services import reconciling
from tests import factories
from tests.chain_market import SOL, ChainMarket

DECIMALS = 6
RENT = 2_039_280


class ChainWallet:
    """An agent's live wallet; nothing is in its books or on the chain at first."""

    def __init__(self, market: ChainMarket) -> None:
        self.market = market
        self.key = Keypair().pubkey()
        self.agent = factories.make_agent(sol=None)
        self.wallet = factories.make_wallet(self.agent, wallet_type="live", address=str(self.key))

    def holds(self, sol: str) -> None:
        """Let the wallet hold exactly this much SOL on chain."""
        lamports = int(Decimal(sol) * SOL)
        self._issue(self.key, Account(lamports=lamports, data=b"", owner=SYSTEM, executable=False))

    def new_token(self) -> str:
        mint = Keypair().pubkey()
        state = Mint(mint_authority=None, supply=10**15, decimals=DECIMALS, is_initialized=True, freeze_authority=None)
        self._issue(mint, Account(lamports=RENT, data=bytes(state), owner=TOKEN_PROGRAM_ID, executable=False))
        return str(mint)

    def holds_tokens(self, mint: str, tokens: str, *, is_native: bool = False) -> None:
        """Let the wallet's token account hold exactly so many whole tokens; wrapped SOL has nine decimals."""
        units = int(Decimal(tokens) * 10 ** (9 if is_native else DECIMALS))
        address = get_associated_token_address(self.key, Pubkey.from_string(mint))
        state = TokenAccount(
            mint=Pubkey.from_string(mint),
            owner=self.key,
            amount=units,
            delegate=None,
            state=TokenAccountState.Initialized,
            is_native=RENT if is_native else None,
            delegated_amount=0,
            close_authority=None,
        )
        lamports = RENT + units if is_native else RENT
        self._issue(address, Account(lamports=lamports, data=bytes(state), owner=TOKEN_PROGRAM_ID, executable=False))

    def _issue(self, key: Pubkey, account: Account) -> None:
        self.market.call(lambda: self.market.ledger.issue(key, account))
        self.market.pass_slots(2)

    # -- the desk

    def look(self) -> int | None:
        """Compare once; return the unexplained differences, None when it could not be judged."""
        return reconciling.look([self.wallet.pk]).get(self.wallet.pk)

    def rows(self) -> list[tuple[str, str, Decimal]]:
        """Return mint, status and difference of every row, the oldest first."""
        found = WalletDifference.objects.filter(wallet=self.wallet).order_by("id")
        return [(row.mint, row.status, row.difference) for row in found]

    def row(self) -> WalletDifference:
        return WalletDifference.objects.filter(wallet=self.wallet).latest("id")

    @property
    def may_buy(self) -> bool:
        return Wallet.objects.get(pk=self.wallet.pk).unreconciled_since is None

    def books(self, mint: str = SOL_MINT) -> Decimal:
        found = Balance.objects.filter(wallet=self.wallet, mint=mint).first()
        return Decimal(0) if found is None else found.amount

    def alerts(self) -> list[str]:
        told = OutboxMessage.objects.filter(kind="alert", stream=f"user:{self.agent.user_id}").order_by("sequence")
        return [message.payload["code"] for message in told]
