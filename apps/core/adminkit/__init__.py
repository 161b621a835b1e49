"""What every app's `admin.py` is made of: `base` (page classes), `columns` and `cells` (figures), `buttons`.

Nothing here knows a trading rule: pages show rows, buttons call one service each.
"""
