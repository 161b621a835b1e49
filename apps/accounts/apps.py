from django.apps import AppConfig
from django.core.signals import request_finished


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        from apps.accounts.services import api_keys

        request_finished.connect(api_keys.write_uses, dispatch_uid="accounts.api_keys.write_uses")
