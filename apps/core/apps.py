from celery import current_app, signals
from django.apps import AppConfig
from django.core.signals import request_started
from django.db.backends.signals import connection_created

from apps.core import database_links, heartbeats, jobs, metrics_page, quick_times, sweep


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        sweep.install(current_app)
        heartbeats.install()
        jobs.install()
        metrics_page.install()
        connection_created.connect(quick_times.install, dispatch_uid="soldesk-times")
        request_started.connect(database_links.drop_dead, dispatch_uid="soldesk-connections")
        signals.task_prerun.connect(database_links.drop_dead, dispatch_uid="soldesk-connections")
