from django.apps import AppConfig


class WalletsConfig(AppConfig):
    name = "apps.wallets"
    label = "wallets"

    def ready(self) -> None:
        from apps.agents.events import AgentCreated
        from apps.core import events
        from apps.wallets.services import wallets

        events.subscribe(AgentCreated, wallets.create_simulation_wallet)
