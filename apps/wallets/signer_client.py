"""How the desk talks to the signer: one line of JSON there, one back, over its Unix socket.

`AsyncSigner` is for the orders process, `Signer` for doors and tasks; both open a connection for each call, so that a
signer that was started again is simply found. No Django here: the socket's path is given.
"""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from apps.wallets.signer.reasons import PASSING, Reason
from apps.wallets.signer.tally import BOUNDS, KINDS

LONGEST_LINE = 256 * 1024
SIGN_SECONDS = 10.0
#: Deriving a key from a passphrase takes about a second, and waits for its turn.
KEY_SECONDS = 30.0
STATUS_SECONDS = 3.0
#: It answers figures from its memory.
FIGURES_SECONDS = 0.8
SOURCES = ("nodes", "prices")
_COUNTED = ("spent_day_lamports", "risked_day_lamports", "max_day_lamports", "keys_loaded", "keys_locked")

Side = Literal["buy", "sell"]


class SignerUnavailable(Exception):
    """Nobody listens, or no answer came: whether something was signed is not known, and asking again is safe."""


class SignerRefused(Exception):
    """The signer said no, by a stable code (`apps.wallets.signer.reasons`); nothing was signed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message

    @property
    def passing(self) -> bool:
        """Whether the same question may be answered otherwise in a moment: something the signer needs was away."""
        return self.code in PASSING


@dataclass(frozen=True, slots=True)
class SwapToSign:
    """A swap for the signer: what goes in, what has to come out at least (base units; SOL in lamports), and the bytes.

    The transaction is unsigned: one empty signature. The same order with the same bytes gets the same signature.
    """

    order_id: str
    wallet: str
    side: Side
    mint: str
    in_base_units: int
    minimum_out_base_units: int
    transaction: bytes

    def request(self) -> dict[str, Any]:
        return {
            "op": "sign_swap",
            "order_id": self.order_id,
            "wallet": self.wallet,
            "side": self.side,
            "mint": self.mint,
            "in_base_units": self.in_base_units,
            "minimum_out_base_units": self.minimum_out_base_units,
            "transaction": b64encode(self.transaction).decode(),
        }


@dataclass(frozen=True, slots=True)
class ReclaimToSign:
    """An empty token account to close, its rent going back to the wallet that owns it."""

    order_id: str
    wallet: str
    mint: str
    token_account: str
    transaction: bytes

    def request(self) -> dict[str, Any]:
        return {
            "op": "sign_reclaim",
            "order_id": self.order_id,
            "wallet": self.wallet,
            "mint": self.mint,
            "token_account": self.token_account,
            "transaction": b64encode(self.transaction).decode(),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """The transaction with its signature, to be sent as it is. `repr` shows the signature alone."""

    transaction: bytes
    signature: str

    def __repr__(self) -> str:
        return f"Signed(signature={self.signature!r})"


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as the signer tells of it. `locked`: its file is there, its passphrase was not given yet."""

    address: str
    name: str
    source: Literal["env", "file"]
    locked: bool


@dataclass(frozen=True, slots=True)
class SignerStatus:
    """What the signer holds and has let out. `network` is told by its own node: mainnet, testnet, or unknown."""

    keys: tuple[HeldKey, ...]
    network: str
    max_trade_lamports: int
    max_day_lamports: int
    spent_day_lamports: int
    risked_day_lamports: int
    max_slippage_bps: int
    max_fee_lamports: int
    nodes: int
    programs: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignerFigures:
    """What the signer has counted since its start. Signatures by kind, refusals by reason, sources by name.

    `took` holds how many requests got their signature within each bound of `tally.BOUNDS`, then how many later;
    `sources_up` leaves out what was never asked.
    """

    signed: Mapping[str, int]
    refused: Mapping[str, int]
    took: tuple[int, ...]
    seconds: float
    spent_day_lamports: int
    risked_day_lamports: int
    max_day_lamports: int
    keys_loaded: int
    keys_locked: int
    sources_up: Mapping[str, bool]
    source_failures: Mapping[str, int]


class AsyncSigner:
    """The signer for one event loop; calls may run side by side."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = path

    async def sign_swap(self, swap: SwapToSign) -> Signed:
        """Have a swap signed.

        Raises:
            SignerRefused, SignerUnavailable.
        """
        return _signed(await self._call(swap.request(), SIGN_SECONDS))

    async def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed:
        """Have the closing of an empty token account signed.

        Raises:
            SignerRefused, SignerUnavailable.
        """
        return _signed(await self._call(reclaim.request(), SIGN_SECONDS))

    async def status(self) -> SignerStatus:
        """Return what the signer holds.

        Raises:
            SignerRefused, SignerUnavailable.
        """
        return _status(await self._call({"op": "status"}, STATUS_SECONDS))

    async def _call(self, request: dict[str, Any], seconds: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(_checked(self._path), limit=LONGEST_LINE)
                try:
                    writer.write(_line(request))
                    with suppress(BrokenPipeError):  # who is refused unheard has the refusal waiting
                        await writer.drain()
                    answer = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            raise SignerUnavailable(type(error).__name__) from None
        return _read(answer)


class Signer:
    """The signer for code that waits: doors, tasks and commands."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = path

    def status(self) -> SignerStatus:
        """Return what the signer holds. Raises like every call: SignerRefused, SignerUnavailable."""
        return _status(self._call({"op": "status"}, STATUS_SECONDS))

    def figures(self) -> SignerFigures:
        """Return what the signer has counted; it needs nobody else for that."""
        return _figures(self._call({"op": "figures"}, FIGURES_SECONDS))

    def create(self, *, name: str, passphrase: str) -> HeldKey:
        """Have a new key made and kept in a file under the passphrase; it is unlocked."""
        return _key(self._call({"op": "create", "name": name, "passphrase": passphrase}, KEY_SECONDS)["key"])

    def take_in(self, *, file: Mapping[str, Any]) -> HeldKey:
        """Give the signer an encrypted key file, as `export` hands it out; it stays locked."""
        return _key(self._call({"op": "import", "file": dict(file)}, KEY_SECONDS)["key"])

    def unlock(self, *, address: str, passphrase: str) -> HeldKey:
        """Open a key's file with its passphrase."""
        return _key(self._call({"op": "unlock", "address": address, "passphrase": passphrase}, KEY_SECONDS)["key"])

    def lock(self, *, address: str) -> HeldKey:
        """Have the signer forget a key until it is unlocked again."""
        return _key(self._call({"op": "lock", "address": address}, KEY_SECONDS)["key"])

    def export(self, *, address: str, passphrase: str) -> dict[str, Any]:
        """Return a key's file, encrypted under the passphrase that was just proven."""
        answer = self._call({"op": "export", "address": address, "passphrase": passphrase}, KEY_SECONDS)
        return dict(answer["file"])

    def sign_swap(self, swap: SwapToSign) -> Signed:
        return _signed(self._call(swap.request(), SIGN_SECONDS))

    def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed:
        return _signed(self._call(reclaim.request(), SIGN_SECONDS))

    def _call(self, request: dict[str, Any], seconds: float) -> Mapping[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(seconds)
                connection.connect(_checked(self._path))
                with suppress(BrokenPipeError):  # who is refused unheard has the refusal waiting
                    connection.sendall(_line(request))
                with connection.makefile("rb") as answers:
                    answer = answers.readline(LONGEST_LINE)
        except OSError as error:
            raise SignerUnavailable(type(error).__name__) from None
        return _read(answer)


def _checked(path: str | Path | None) -> str:
    if not path:
        raise SignerUnavailable("this desk has no signer: SIGNER_SOCKET is not set")
    return str(path)


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> Mapping[str, Any]:
    answer = None
    with suppress(ValueError):
        answer = json.loads(line)
    if not isinstance(answer, dict):
        raise SignerUnavailable("the connection ended before an answer")
    if not answer.get("ok"):
        raise SignerRefused(str(answer.get("code", "SIGNER_BROKEN")), str(answer.get("message", "")))
    return answer


def _signed(answer: Mapping[str, Any]) -> Signed:
    return Signed(b64decode(answer["transaction"]), answer["signature"])


def _key(told: Mapping[str, Any]) -> HeldKey:
    return HeldKey(told["address"], told["name"], told["source"], told["locked"])


def _status(answer: Mapping[str, Any]) -> SignerStatus:
    fields = {name: answer[name] for name in SignerStatus.__dataclass_fields__ if name not in {"keys", "notes"}}
    return SignerStatus(keys=tuple(_key(told) for told in answer["keys"]), notes=tuple(answer["notes"]), **fields)


def _figures(answer: Mapping[str, Any]) -> SignerFigures:
    """Read the figures; only names known here are taken, whatever the other end says."""
    try:
        sources = {name: answer["sources"][name] for name in SOURCES}
        return SignerFigures(
            signed={kind: int(answer["signed"][kind]) for kind in KINDS},
            refused={str(reason): int(answer["refused"].get(reason, 0)) for reason in Reason},
            took=tuple(int(answer["took"][place]) for place in range(len(BOUNDS) + 1)),
            seconds=float(answer["seconds"]),
            sources_up={name: told["up"] is True for name, told in sources.items() if told["up"] is not None},
            source_failures={name: int(told["failures"]) for name, told in sources.items()},
            **{name: int(answer[name]) for name in _COUNTED},
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise SignerUnavailable(f"its figures are none: {type(error).__name__}") from None
