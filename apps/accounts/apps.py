from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core.signals import request_finished


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        from apps.accounts import admin_sessions
        from apps.accounts.services import last_use

        request_finished.connect(last_use.write_all, dispatch_uid="accounts.last_use.write_all")
        user_logged_in.connect(admin_sessions.note_origin, dispatch_uid="accounts.admin_sessions.note_origin")
