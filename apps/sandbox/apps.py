"""Django's entry for the sandbox: it exists for `manage.py sandbox` alone and owns no tables."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Make the management command known."""

    name = "apps.sandbox"
    label = "sandbox"
    verbose_name = "Sandbox market"
