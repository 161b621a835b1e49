"""Pure rules of accounts: where an API key may be used from."""
