"""Orders of exits that were never signed and are not wanted any more, taken back before anything of them is sent.

A close bars take profits: one that is still unsigned makes room for it at once (CONCURRENCY 10). While exits are halted
nothing new is signed either. What may have been signed goes on to its end.
"""

from __future__ import annotations

from apps.core import bulk
from apps.trading.domain import exit_decision, order_machine
from apps.trading.services.live import settling

_UNWANTED = """
SELECT o.id, CASE WHEN i.status IN ('due', 'leased') THEN %s ELSE COALESCE(NULLIF(i.last_error, ''), %s) END
FROM trade_order o JOIN exit_intent i ON i.id = o.intent_id
WHERE o.status IN ('reserved', 'built') AND o.side = 'sell'
  AND (i.status NOT IN ('due', 'leased')
       OR EXISTS (SELECT 1 FROM trading_state t WHERE (t.agent_id IS NULL OR t.agent_id = o.agent_id)
                  AND t.state = 'halted' AND NOT t.exits_enabled))
"""


def recall_unsigned() -> int:
    """End unsigned sales nobody wants now and return how many; what they had put aside comes back."""
    rows = bulk.fetch_all(_UNWANTED, [exit_decision.EXITS_HALTED, exit_decision.POSITION_CLOSED])
    if not rows:
        return 0
    return len(settling.settle_ended((order_id, order_machine.FAILED, code) for order_id, code in rows))
