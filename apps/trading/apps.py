from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "apps.trading"
    label = "trading"

    def ready(self) -> None:
        from apps.agents.events import AgentArchiving
        from apps.core import events, wake
        from apps.signals.events import SignalCreated
        from apps.trading.selectors import live_wallets
        from apps.trading.services import archive, balance_guard, missing_tokens, wallet_release
        from apps.wallets.adapters import positions, under_way
        from apps.wallets.events import BalanceCorrecting, WalletReplacing

        def wake_trading(event: SignalCreated) -> None:
            wake.wake_on_commit("trading.process_signal", event.signal_id)

        under_way.connect(live_wallets.under_way)
        positions.connect(missing_tokens.end_position)
        events.subscribe(SignalCreated, wake_trading)
        events.subscribe(AgentArchiving, archive.on_agent_archiving)
        events.subscribe(BalanceCorrecting, balance_guard.on_balance_correcting)
        events.subscribe(WalletReplacing, wallet_release.on_wallet_replacing)
