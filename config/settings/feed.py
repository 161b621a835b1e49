"""Limits of the live feed; each is one process's own (docs/live-feed.md)."""

from config.env import env

FEED_SOCKETS_PER_USER = env.feed_sockets_per_user
FEED_SOCKETS_PER_PROCESS = env.feed_sockets_per_process
FEED_MESSAGES_PER_SECOND = env.feed_messages_per_second
FEED_SNAPSHOT_POSITIONS = env.feed_snapshot_positions
FEED_BUFFER_BYTES = env.feed_buffer_megabytes * 1024 * 1024
