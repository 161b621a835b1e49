"""Pure rules of signals: how a message from elsewhere becomes one."""
