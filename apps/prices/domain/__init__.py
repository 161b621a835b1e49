"""Pure rules about prices: what one is, when it may be trusted, what is known of a token."""
