"""The node's JSON-RPC methods over a ledger: parameters in, results out, errors with the node's codes.

Methods are the functions of `Rpc` whose names begin with a lower-case letter and are listed in `METHODS`.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.sandbox.chain import accounts, fees, filters, outcomes, wire
from apps.sandbox.chain.ledger import COMMITMENTS, Landed, Ledger
from apps.sandbox.chain.parameters import Config, Parameters, read_key
from apps.sandbox.chain.refused import INVALID_PARAMS, Refused

log = logging.getLogger("sandbox.rpc")

API_VERSION = "3.1.8"
METHOD_NOT_FOUND, INVALID_REQUEST, INTERNAL_ERROR = -32601, -32600, -32603
PREFLIGHT, MIN_CONTEXT_SLOT_NOT_REACHED = -32002, -32016
MOST_ACCOUNTS, MOST_STATUSES, MOST_SIGNATURES, MOST_LARGEST = 100, 256, 1_000, 20
#: How many slots back the status of a transaction is known without a search of history.
RECENT_STATUS_SLOTS = 150
_DEFAULT_COMMITMENT = "finalized"


class Rpc:
    """The methods of one node, `behind` slots late. `answer` takes a request as parsed JSON, one or a batch."""

    def __init__(self, chain: Ledger, *, behind: int = 0) -> None:
        self._chain = chain
        self._behind = behind

    def answer(self, request: Any) -> Any:
        """Return the response to a request, or the list of responses to a batch."""
        if isinstance(request, list):
            return [self._answer_one(each) for each in request] or failure(None, INVALID_REQUEST, "Invalid request")
        return self._answer_one(request)

    def _answer_one(self, request: Any) -> dict[str, Any]:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return failure(None, INVALID_REQUEST, "Invalid request")
        number = request.get("id")
        method = METHODS.get(request["method"])
        if method is None:
            return failure(number, METHOD_NOT_FOUND, "Method not found")
        try:
            result = method(self, Parameters(request.get("params")))
        except Refused as refused:
            return failure(number, refused.code, refused.message, refused.data)
        except (LookupError, TypeError, ValueError) as error:
            log.warning("sandbox_parameters_unreadable method=%s error=%r", request["method"], error)
            return failure(number, INVALID_PARAMS, f"Invalid params: {error}")
        return {"jsonrpc": "2.0", "result": result, "id": number}

    def _slot_of(self, commitment: str) -> int:
        """Return the newest slot of a commitment that this node knows."""
        return self._chain.slot_of(commitment) - self._behind

    def _state(self, key: Pubkey, commitment: str) -> Account | None:
        return self._chain.states.at(key, self._slot_of(commitment))

    def _knows(self, blockhash: Hash, commitment: str) -> bool:
        """Say whether the bank of a commitment takes a blockhash: a newer one it has not heard of."""
        if commitment not in COMMITMENTS:
            raise Refused(INVALID_PARAMS, f"Invalid params: unknown commitment {commitment!r}")
        return self._chain.is_valid(blockhash, self._chain.height_at(self._slot_of(commitment)))

    @property
    def _height(self) -> int:
        return self._chain.height_at(self._slot_of("processed"))

    # -- the chain

    def latest_blockhash(self, given: Parameters) -> Any:
        commitment = self._commitment(given.config(0))
        blockhash, height = self._chain.blockhash_at(self._chain.height_at(self._slot_of(commitment)))
        return self._told({"blockhash": str(blockhash), "lastValidBlockHeight": height}, commitment)

    def is_blockhash_valid(self, given: Parameters) -> Any:
        blockhash = given.read(0, Hash.from_string, "blockhash")
        return self._told(self._chain.is_valid(blockhash, self._height), self._commitment(given.config(1)))

    def slot(self, given: Parameters) -> int:
        return self._slot_of(self._commitment(given.config(0)))

    def block_height(self, given: Parameters) -> int:
        return self._chain.height_at(self._slot_of(self._commitment(given.config(0))))

    def epoch(self, given: Parameters) -> Any:
        slot = self._slot_of(self._commitment(given.config(0)))
        return {
            "absoluteSlot": slot,
            "blockHeight": self._chain.height_at(slot),
            "epoch": slot // 432_000,
            "slotIndex": slot % 432_000,
            "slotsInEpoch": 432_000,
            "transactionCount": len(self._chain.landed),
        }

    def genesis_hash(self, _given: Parameters) -> str:
        return str(self._chain.genesis_hash)

    def health(self, _given: Parameters) -> str:
        return "ok"

    def version(self, _given: Parameters) -> Any:
        return {"solana-core": API_VERSION, "feature-set": 0}

    def rent(self, given: Parameters) -> int:
        return self._chain.rent(given.whole(0, "size"))

    def fee_for_message(self, given: Parameters) -> Any:
        try:
            message = from_bytes_versioned(base64.b64decode(given.text(0, "message"), validate=True))
        except (ValueError, binascii.Error):
            raise Refused(INVALID_PARAMS, "invalid message") from None
        fee = fees.fee_of_message(message) if self._chain.is_valid(message.recent_blockhash) else None
        return self._told(fee, self._commitment(given.config(1)))

    def recent_fees(self, given: Parameters) -> Any:
        """Return the lowest price that landed in each of the last slots, of these accounts if any are named."""
        about = given.keys(0, most=128) if len(given) else ()
        recent = self._chain.fees.recent(self._slot_of("processed"), about)
        return [{"slot": slot, "prioritizationFee": price} for slot, price in recent]

    # -- accounts

    def balance(self, given: Parameters) -> Any:
        commitment = self._commitment(given.config(1))
        account = self._state(given.key(0), commitment)
        return self._told(0 if account is None else account.lamports, commitment)

    def account_info(self, given: Parameters) -> Any:
        config = given.config(1)
        commitment = self._commitment(config)
        return self._told(self._account(given.key(0), commitment, config), commitment)

    def multiple_accounts(self, given: Parameters) -> Any:
        config = given.config(1)
        commitment = self._commitment(config)
        found = [self._account(key, commitment, config) for key in given.keys(0, most=MOST_ACCOUNTS)]
        return self._told(found, commitment)

    def token_supply(self, given: Parameters) -> Any:
        commitment = self._commitment(given.config(1))
        told = accounts.mint(self._state(given.key(0), commitment))
        if told is None:
            raise Refused(INVALID_PARAMS, "Invalid param: not a Token mint")
        return self._told(accounts.ui_amount(told.supply, told.decimals), commitment)

    def token_largest_accounts(self, given: Parameters) -> Any:
        commitment, mint = self._commitment(given.config(1)), given.key(0)
        told = accounts.mint(self._state(mint, commitment))
        if told is None:
            raise Refused(INVALID_PARAMS, "Invalid param: not a Token mint")
        amounts = []
        for key in self._chain.states.of_mint(mint):
            held = accounts.token_account(self._state(key, commitment))
            if held is not None and held.mint == mint:
                amounts.append((held.amount, str(key)))
        largest = sorted(amounts, reverse=True)[:MOST_LARGEST]
        return self._told(
            [{"address": key, **accounts.ui_amount(amount, told.decimals)} for amount, key in largest], commitment
        )

    def program_accounts(self, given: Parameters) -> Any:
        program, config = given.key(0), given.config(1)
        commitment = self._commitment(config)
        passes = filters.read(config.get("filters"))
        found = []
        for key in sorted(self._chain.states.touched(), key=str):
            account = self._state(key, commitment)
            if account is not None and account.owner == program and passes(account):
                found.append({"pubkey": str(key), "account": self._present(account, config)})
        return self._told(found, commitment) if config.get("withContext") else found

    def token_account_balance(self, given: Parameters) -> Any:
        commitment = self._commitment(given.config(1))
        account = self._state(given.key(0), commitment)
        if account is None:
            raise Refused(INVALID_PARAMS, "Invalid param: could not find account")
        held = accounts.token_account(account)
        if held is None:
            raise Refused(INVALID_PARAMS, "Invalid param: not a Token account")
        return self._told(accounts.ui_amount(held.amount, self._chain.decimals(held.mint) or 0), commitment)

    def token_accounts_by_owner(self, given: Parameters) -> Any:
        owner, wanted, config = given.key(0), given.config(1), given.config(2)
        commitment = self._commitment(config)
        if "mint" in wanted:
            mint, program = read_key(wanted["mint"]), None
        elif "programId" in wanted:
            mint, program = None, read_key(wanted["programId"])
        else:
            raise Refused(INVALID_PARAMS, "Invalid params: a mint or a programId is needed")
        found = []
        for key in sorted(self._chain.states.owned_by(owner), key=str):
            account = self._state(key, commitment)
            held = accounts.token_account(account)
            if account is None or held is None or held.owner != owner:
                continue
            if (mint is None or held.mint == mint) and (program is None or account.owner == program):
                found.append({"pubkey": str(key), "account": self._present(account, config)})
        return self._told(found, commitment)

    # -- transactions

    def send_transaction(self, given: Parameters) -> str:
        config = given.config(1)
        transaction = wire.read_transaction(given.text(0, "transaction"), config.get("encoding", "base58"))
        self._reach(config)
        preflight = not config.get("skipPreflight", False)
        commitment = config.get("preflightCommitment") or _DEFAULT_COMMITMENT
        if preflight and not self._knows(transaction.message.recent_blockhash, commitment):
            unknown = outcomes.Outcome.never("BlockhashNotFound")
            sentence = outcomes.sentence(unknown.error)
            raise Refused(PREFLIGHT, f"Transaction simulation failed: {sentence}", outcomes.preflight_data(unknown))
        return str(self._chain.submit(transaction, preflight=preflight))

    def simulate_transaction(self, given: Parameters) -> Any:
        config = given.config(1)
        transaction = wire.read_transaction(given.text(0, "transaction"), config.get("encoding", "base58"))
        replace, verify = bool(config.get("replaceRecentBlockhash")), bool(config.get("sigVerify"))
        if replace and verify:
            raise Refused(INVALID_PARAMS, "sigVerify may not be used with replaceRecentBlockhash")
        commitment = self._commitment(config)
        keys = self._chain.keys_of(transaction)
        tried = self._chain.simulate(transaction, verify=verify, any_blockhash=replace)
        value: Config = {
            **outcomes.preflight_data(tried),
            "fee": tried.fee,
            "accounts": self._afterwards(tried, config.get("accounts")),
            "innerInstructions": tried.inner if config.get("innerInstructions") else None,
            **self._chain.balances_around(keys, tried),
        }
        if replace:
            blockhash, height = self._chain.blockhash("processed")
            value["replacementBlockhash"] = {"blockhash": str(blockhash), "lastValidBlockHeight": height}
        return self._told(value, commitment)

    def signature_statuses(self, given: Parameters) -> Any:
        oldest = (
            0 if given.config(1).get("searchTransactionHistory") else self._slot_of("processed") - RECENT_STATUS_SLOTS
        )
        statuses = [self._status(signature) for signature in given.signatures(0, most=MOST_STATUSES)]
        recent = [None if status is not None and status["slot"] < oldest else status for status in statuses]
        return self._told(recent, "processed")

    def transaction(self, given: Parameters) -> Any:
        config: Config = {"encoding": given[1]} if len(given) > 1 and isinstance(given[1], str) else given.config(1)
        commitment = self._commitment(config)
        landed = self._chain.landed.get(given.read(0, Signature.from_string, "signature"))
        if landed is None or landed.slot > self._slot_of(commitment):
            return None
        newest = config.get("maxSupportedTransactionVersion")
        return wire.present(landed, encoding=config.get("encoding", "json"), newest_version=newest)

    def signatures_for_address(self, given: Parameters) -> Any:
        config = given.config(1)
        until_slot = self._slot_of(self._commitment(config))
        listed = list(reversed(self._chain.by_address.get(given.key(0), [])))
        texts = [str(signature) for signature in listed]
        first = texts.index(config["before"]) + 1 if config.get("before") in texts else 0
        last = texts.index(config["until"]) if config.get("until") in texts else len(texts)
        limit = MOST_SIGNATURES if config.get("limit") is None else config["limit"]
        if not isinstance(limit, int) or not 1 <= limit <= MOST_SIGNATURES:
            raise Refused(INVALID_PARAMS, f"Invalid limit; max {MOST_SIGNATURES}")
        rows = (self._chain.landed[signature] for signature in listed[first:last])
        seen = [landed for landed in rows if landed.slot <= until_slot]
        return [
            {
                "signature": str(landed.signature),
                "slot": landed.slot,
                "err": landed.error,
                "memo": None,
                "blockTime": landed.block_time,
                "confirmationStatus": self._level(landed),
            }
            for landed in seen[:limit]
        ]

    def request_airdrop(self, given: Parameters) -> str:
        return str(self._chain.airdrop(given.key(0), given.whole(1, "lamports")))

    # -- shared

    def _told(self, value: Any, commitment: str) -> Config:
        return {"context": {"apiVersion": API_VERSION, "slot": self._slot_of(commitment)}, "value": value}

    def _commitment(self, config: Config) -> str:
        """Return the commitment a request wants; a slot it must have reached is checked on the way."""
        commitment = config.get("commitment") or _DEFAULT_COMMITMENT
        if commitment not in COMMITMENTS:
            raise Refused(INVALID_PARAMS, f"Invalid params: unknown commitment {commitment!r}")
        self._reach(config, commitment)
        return str(commitment)

    def _reach(self, config: Config, commitment: str = "processed") -> None:
        wanted, slot = config.get("minContextSlot"), self._slot_of(commitment)
        if wanted is not None and wanted > slot:
            raise Refused(
                MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", {"contextSlot": slot}
            )

    def _account(self, key: Pubkey, commitment: str, config: Config) -> Config | None:
        account = self._state(key, commitment)
        return None if account is None else self._present(account, config)

    def _present(self, account: Account, config: Config) -> Config:
        held = accounts.token_account(account)
        try:
            return accounts.present(
                account,
                encoding=config.get("encoding", "binary"),
                decimals=None if held is None else self._chain.decimals(held.mint),
                data_slice=config.get("dataSlice"),
            )
        except accounts.CannotEncode as error:
            raise Refused(INVALID_PARAMS, str(error)) from None

    def _afterwards(self, tried: outcomes.Outcome, wanted: Config | None) -> list[Config | None] | None:
        if wanted is None:
            return None
        encoding = {"encoding": wanted.get("encoding", "base64")}
        keys = [read_key(address) for address in wanted.get("addresses", ())]
        if tried.error is not None:
            return [None] * len(keys)
        states = (tried.after.get(key, self._chain.account(key)) for key in keys)
        return [None if state is None or state.lamports == 0 else self._present(state, encoding) for state in states]

    def _status(self, signature: Signature) -> Config | None:
        landed = self._chain.landed.get(signature)
        if landed is None or landed.slot > self._slot_of("processed"):
            return None
        level = self._level(landed)
        return {
            "slot": landed.slot,
            "confirmations": None if level == "finalized" else self._slot_of("processed") - landed.slot,
            "err": landed.error,
            "status": landed.meta["status"],
            "confirmationStatus": level,
        }

    def _level(self, landed: Landed) -> str:
        return next(level for level in reversed(COMMITMENTS) if landed.slot <= self._slot_of(level))


METHODS: dict[str, Callable[[Rpc, Parameters], Any]] = {
    "getAccountInfo": Rpc.account_info,
    "getBalance": Rpc.balance,
    "getBlockHeight": Rpc.block_height,
    "getEpochInfo": Rpc.epoch,
    "getFeeForMessage": Rpc.fee_for_message,
    "getGenesisHash": Rpc.genesis_hash,
    "getHealth": Rpc.health,
    "getLatestBlockhash": Rpc.latest_blockhash,
    "getMinimumBalanceForRentExemption": Rpc.rent,
    "getMultipleAccounts": Rpc.multiple_accounts,
    "getProgramAccounts": Rpc.program_accounts,
    "getRecentPrioritizationFees": Rpc.recent_fees,
    "getSignatureStatuses": Rpc.signature_statuses,
    "getSignaturesForAddress": Rpc.signatures_for_address,
    "getSlot": Rpc.slot,
    "getTokenAccountBalance": Rpc.token_account_balance,
    "getTokenAccountsByOwner": Rpc.token_accounts_by_owner,
    "getTokenLargestAccounts": Rpc.token_largest_accounts,
    "getTokenSupply": Rpc.token_supply,
    "getTransaction": Rpc.transaction,
    "getVersion": Rpc.version,
    "isBlockhashValid": Rpc.is_blockhash_valid,
    "requestAirdrop": Rpc.request_airdrop,
    "sendTransaction": Rpc.send_transaction,
    "simulateTransaction": Rpc.simulate_transaction,
}


def failure(number: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message, **({} if data is None else {"data": data})}
    return {"jsonrpc": "2.0", "error": error, "id": number}
