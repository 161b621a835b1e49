from celery import current_app
from django.apps import AppConfig

from apps.core import heartbeats, sweep


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        sweep.install(current_app)
        heartbeats.install()
