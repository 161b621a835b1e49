"""Run against a desk of real processes: makes a trader with funded agents and tokens that stand still, as JSON."""

from __future__ import annotations

import json
import os
import sys

import django


def main(agents: int, tokens: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from apps.console.bench import traders

    sandbox = traders.Sandbox()
    sandbox.quieten()
    trader = traders.make_trader(agents)
    made = {
        "user": str(trader.user.pk),
        "keys": list(trader.keys),
        "agents": [str(agent) for agent in trader.agent_ids],
        "mints": sandbox.tokens(tokens) if tokens else [],
    }
    sys.stdout.write(json.dumps(made))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
