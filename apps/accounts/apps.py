from django.apps import AppConfig
from django.core.signals import request_finished


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        from apps.accounts.services import last_use

        request_finished.connect(last_use.write_all, dispatch_uid="accounts.last_use.write_all")
