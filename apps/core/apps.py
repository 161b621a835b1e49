from celery import current_app, signals
from django.apps import AppConfig
from django.core.signals import request_started

from apps.core import database_links, heartbeats, job_metrics, metrics_page, sweep


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        sweep.install(current_app)
        heartbeats.install()
        job_metrics.install()
        metrics_page.install()
        request_started.connect(database_links.drop_dead, dispatch_uid="soldesk-connections")
        signals.task_prerun.connect(database_links.drop_dead, dispatch_uid="soldesk-connections")
