"""The outside world of notify: the addresses webhooks go to."""
