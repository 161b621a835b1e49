"""Whether an agent may open a position now, and with how much: the checks of trading.md 4, first failure wins.

Pure: the caller reads agent, wallet, balance and positions (under lock when it books) and passes them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from apps.agents.domain.model import PurchaseLimits, TradingConfig
from apps.core.money import MONEY, SOL_QUANTUM
from apps.trading.domain import sizing

SIMULATION = "simulation"
MAX_OPEN_POSITIONS = 25

AGENT_NOT_FOUND = "AGENT_NOT_FOUND"
CONFIG_ERROR = "CONFIG_ERROR"
WALLET_NOT_FOUND = "WALLET_NOT_FOUND"
WALLET_MISMATCH = "WALLET_MISMATCH"
WALLET_NOT_LOADED = "WALLET_NOT_LOADED"
WALLET_NOT_RECONCILED = "WALLET_NOT_RECONCILED"
TRADING_MODE_MISMATCH = "TRADING_MODE_MISMATCH"
INSUFFICIENT_BALANCE = sizing.INSUFFICIENT_BALANCE
BELOW_MINIMUM_THRESHOLD = sizing.BELOW_MINIMUM_THRESHOLD
POSITION_EXISTS = "POSITION_EXISTS"
MAX_POSITIONS_EXCEEDED = "MAX_POSITIONS_EXCEEDED"
INVALID_POSITION_SIZE = sizing.INVALID_POSITION_SIZE
POSITION_SIZE_EXCEEDS_BALANCE = sizing.POSITION_SIZE_EXCEEDS_BALANCE
VIOLATES_MINIMUM_BALANCE = "VIOLATES_MINIMUM_BALANCE"
EXCEEDS_MAX_PURCHASE = "EXCEEDS_MAX_PURCHASE"
POSITION_CALCULATION_ERROR = "POSITION_CALCULATION_ERROR"
ALLOWED = "ALLOWED"

#: Every code, with the sentence a person reads.
MESSAGES: dict[str, str] = {
    AGENT_NOT_FOUND: "The agent does not exist.",
    CONFIG_ERROR: "The agent's configuration cannot be loaded.",
    WALLET_NOT_FOUND: "The agent has no wallet of the mode it trades in: assign one.",
    WALLET_MISMATCH: "The wallet belongs to another agent.",
    WALLET_NOT_LOADED: "The live wallet's key is not loaded.",
    WALLET_NOT_RECONCILED: "The chain holds another amount than the wallet's books say, unexplained.",
    TRADING_MODE_MISMATCH: "The agent trades in another mode than this wallet's.",
    INSUFFICIENT_BALANCE: "The wallet holds no SOL.",
    BELOW_MINIMUM_THRESHOLD: "The wallet holds less SOL than the minimum balance.",
    POSITION_EXISTS: "The wallet already holds an open position in this token.",
    MAX_POSITIONS_EXCEEDED: "The agent holds as many open positions as it may.",
    INVALID_POSITION_SIZE: "The size of the buy must be at least one lamport.",
    POSITION_SIZE_EXCEEDS_BALANCE: "The size of the buy is more than the wallet holds.",
    VIOLATES_MINIMUM_BALANCE: "The buy would leave less than the minimum balance.",
    EXCEEDS_MAX_PURCHASE: "The size of the buy is more than the largest buy allowed.",
    POSITION_CALCULATION_ERROR: "No size could be worked out from the balance and the configuration.",
}


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """What is known when a buy is asked for.

    `config` None means it could not be loaded, `config_error` is then why. `balance_sol` is the wallet's free SOL, None
    when there is no balance row. `size_sol` is an explicit size; None works it out with `random`, a draw in [0, 1).
    """

    config: TradingConfig | None
    balance_sol: Decimal | None
    size_sol: Decimal | None = None
    random: Decimal = Decimal(0)
    agent_exists: bool = True
    agent_mode: str = SIMULATION
    wallet_exists: bool = True
    wallet_belongs: bool = True
    wallet_type: str = SIMULATION
    wallet_loaded: bool = False
    has_position: bool = False
    open_positions: int = 0
    max_open_positions: int = MAX_OPEN_POSITIONS
    config_error: str = "INVALID_CONFIG"


@dataclass(frozen=True, slots=True)
class EntryDecision:
    """Whether the buy may go on. `cause` is the inner code of CONFIG_ERROR and POSITION_CALCULATION_ERROR."""

    allowed: bool
    code: str
    cause: str | None = None
    balance_sol: Decimal | None = None
    size_sol: Decimal | None = None
    category: str | None = None
    randomized: bool = False


def decide(request: EntryRequest) -> EntryDecision:
    """Judge a buy; the first failing check gives the code. A size that is allowed is a lamport or more.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG
    >>> decide(EntryRequest(DEFAULT_CONFIG, Decimal(5), size_sol=Decimal(3))).code
    'EXCEEDS_MAX_PURCHASE'
    >>> decide(EntryRequest(DEFAULT_CONFIG, Decimal("0.5"))).cause
    'INSUFFICIENT_BALANCE_FOR_MINIMUM'
    """
    balance = Decimal(0) if request.balance_sol is None else request.balance_sol
    config = request.config
    if not request.agent_exists:
        return _refused(AGENT_NOT_FOUND, balance)
    if config is None:
        return _refused(CONFIG_ERROR, balance, request.config_error)
    refusal = _wallet_refusal(request) or _balance_refusal(balance, config.purchase_limits) or _slot_refusal(request)
    if refusal is not None:
        return _refused(refusal, balance)
    if request.size_sol is not None:
        refusal = _size_refusal(request.size_sol, balance, config.purchase_limits)
        if refusal is not None:
            return _refused(refusal, balance)
        return EntryDecision(True, ALLOWED, balance_sol=balance, size_sol=request.size_sol)
    sized = sizing.position_size(balance, config.position_calculator, config.purchase_limits, request.random)
    if sized.size_sol is None:
        return _refused(POSITION_CALCULATION_ERROR, balance, sized.code)
    if sized.size_sol < SOL_QUANTUM:
        return _refused(POSITION_CALCULATION_ERROR, balance, INVALID_POSITION_SIZE)
    return EntryDecision(
        True,
        ALLOWED,
        balance_sol=balance,
        size_sol=sized.size_sol,
        category=sized.category,
        randomized=sized.randomized,
    )


def _refused(code: str, balance_sol: Decimal, cause: str | None = None) -> EntryDecision:
    return EntryDecision(False, code, cause, balance_sol)


def _wallet_refusal(request: EntryRequest) -> str | None:
    if not request.wallet_exists:
        return WALLET_NOT_FOUND
    if not request.wallet_belongs:
        return WALLET_MISMATCH
    if request.wallet_type != SIMULATION and not request.wallet_loaded:
        return WALLET_NOT_LOADED
    if request.agent_mode != request.wallet_type:
        return TRADING_MODE_MISMATCH
    return None


def _balance_refusal(balance_sol: Decimal, limits: PurchaseLimits) -> str | None:
    if balance_sol <= 0:
        return INSUFFICIENT_BALANCE
    if balance_sol < limits.minimum_agent_balance_sol:
        return BELOW_MINIMUM_THRESHOLD
    return None


def _slot_refusal(request: EntryRequest) -> str | None:
    if request.has_position:
        return POSITION_EXISTS
    if request.open_positions >= request.max_open_positions:
        return MAX_POSITIONS_EXCEEDED
    return None


def _size_refusal(size_sol: Decimal, balance_sol: Decimal, limits: PurchaseLimits) -> str | None:
    if size_sol < SOL_QUANTUM:
        return INVALID_POSITION_SIZE
    if size_sol > balance_sol:
        return POSITION_SIZE_EXCEEDS_BALANCE
    with localcontext(MONEY):
        left = balance_sol - size_sol
    if left < limits.minimum_agent_balance_sol:
        return VIOLATES_MINIMUM_BALANCE
    if size_sol > limits.max_purchase_per_token_sol:
        return EXCEEDS_MAX_PURCHASE
    return None
