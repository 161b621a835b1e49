"""Django settings, one file a topic; `config.env` is where values come from."""

import config.celery  # noqa: F401 - every process that reads settings can wake a worker
from config.settings.apps import *  # noqa: F403
from config.settings.database import *  # noqa: F403
from config.settings.feed import *  # noqa: F403
from config.settings.http import *  # noqa: F403
from config.settings.live import *  # noqa: F403
from config.settings.logs import *  # noqa: F403
from config.settings.metrics import *  # noqa: F403
from config.settings.notify import *  # noqa: F403
from config.settings.openapi import *  # noqa: F403
from config.settings.providers import *  # noqa: F403
from config.settings.rest import *  # noqa: F403
from config.settings.security import *  # noqa: F403
from config.settings.tasks import *  # noqa: F403
from config.settings.trading import *  # noqa: F403
from config.settings.unfold import *  # noqa: F403
