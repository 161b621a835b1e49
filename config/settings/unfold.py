"""How the admin looks."""

UNFOLD = {
    "SITE_TITLE": "Soldesk",
    "SITE_HEADER": "Soldesk",
    "SITE_SUBHEADER": "Trading desk for Solana",
    "SITE_SYMBOL": "candlestick_chart",
}
