"""What every account was at which slot, as far back as anybody may ask, and whose token accounts there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from solders.account import Account
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM

from apps.sandbox.chain import accounts

#: States older than this many slots before the present are forgotten; what no transaction touched is told as it is.
REMEMBERED_SLOTS = 200
NOTHING = Account(lamports=0, data=b"", owner=SYSTEM, executable=False)


class States:
    """The states of accounts by slot, over those a virtual machine has now."""

    def __init__(self, get: Callable[[Pubkey], Account | None], put: Callable[[Pubkey, Account], None]) -> None:
        self._get, self._put = get, put
        self._versions: dict[Pubkey, list[tuple[int, Account | None]]] = {}
        self._owned: dict[Pubkey, set[Pubkey]] = defaultdict(set)
        self._of_mint: dict[Pubkey, set[Pubkey]] = defaultdict(set)

    def now(self, key: Pubkey) -> Account | None:
        """Return an account as it is; None for one that holds nothing."""
        account = self._get(key)
        return None if account is None or (account.lamports == 0 and not account.data) else account

    def at(self, key: Pubkey, slot: int) -> Account | None:
        """Return an account as it was at the end of a slot, or as the oldest one remembered."""
        versions = self._versions.get(key)
        if versions is None:
            return self.now(key)
        return next((state for since, state in reversed(versions) if since <= slot), versions[0][1])

    def knows(self, key: Pubkey) -> bool:
        """Say whether the account was touched since the beginning."""
        return key in self._versions

    def keep_first(self, key: Pubkey) -> None:
        """Remember an account as it is before it is touched for the first time."""
        if key not in self._versions:
            self._versions[key] = [(0, self.now(key))]

    def note(self, key: Pubkey, slot: int) -> None:
        """Remember the account's state of this slot, and forget what nobody asks for any more."""
        state = self.now(key)
        versions = self._versions[key]
        if versions[-1][0] == slot:
            versions[-1] = (slot, state)
        elif state != versions[-1][1]:
            versions.append((slot, state))
        while len(versions) > 1 and versions[1][0] <= slot - REMEMBERED_SLOTS:
            versions.pop(0)
        held = accounts.token_account(state)
        if held is not None:
            self._owned[held.owner].add(key)
            self._of_mint[held.mint].add(key)

    def undo(self, key: Pubkey, slot: int) -> None:
        """Put an account back as it was before a slot, and forget what it was since."""
        versions = self._versions.get(key)
        if versions is None:  # a program: no journal remembers those
            return
        kept = [each for each in versions if each[0] < slot] or versions[:1]
        if kept[-1][1] != versions[-1][1]:
            self._put(key, kept[-1][1] or NOTHING)
        self._versions[key] = kept

    def owned_by(self, owner: Pubkey) -> set[Pubkey]:
        """Return every account that is or was a token account of this owner."""
        return self._owned.get(owner, set())

    def of_mint(self, mint: Pubkey) -> set[Pubkey]:
        """Return every account that is or was a token account of this mint."""
        return self._of_mint.get(mint, set())

    def touched(self) -> list[Pubkey]:
        """Return every account that was touched since the beginning."""
        return list(self._versions)
