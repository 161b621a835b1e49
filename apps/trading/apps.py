from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "apps.trading"
    label = "trading"

    def ready(self) -> None:
        from apps.core import events, wake
        from apps.signals.events import SignalCreated

        def wake_trading(event: SignalCreated) -> None:
            wake.wake_on_commit("trading.process_signal", event.signal_id)

        events.subscribe(SignalCreated, wake_trading)
