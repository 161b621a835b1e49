"""The sandbox's HTTP face: one module per provider, the control API and the page."""
