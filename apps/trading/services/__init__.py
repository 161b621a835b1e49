"""What the engine does: `entries` and `booking` open positions, `exits` close them, `gate` says whether either may."""
