"""Webhooks: where they may go."""

from config.env import env

#: A desk on somebody's own machine may tell programs beside it.
WEBHOOKS_ALLOW_PRIVATE = env.soldesk_demo if env.webhooks_allow_private is None else env.webhooks_allow_private
