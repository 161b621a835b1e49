"""Where Prometheus figures are kept and told. Who may read them over HTTP is METRICS_TOKEN, among the secrets."""

from config.env import env

#: Shared by the processes of one machine, so that one scrape tells of all; None: each process knows its own alone.
METRICS_DIR = env.metrics_dir
METRICS_PORT = env.metrics_port
METRICS_HOST = env.metrics_host
