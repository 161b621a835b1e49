"""Webhooks: where they may go, and how often somebody may make the desk post one."""

from config.env import env

#: A desk on somebody's own machine may tell programs beside it.
WEBHOOKS_ALLOW_PRIVATE = env.soldesk_demo if env.webhooks_allow_private is None else env.webhooks_allow_private
#: Tests and resent deliveries of one user.
WEBHOOK_SENDS_PER_MINUTE = 30
