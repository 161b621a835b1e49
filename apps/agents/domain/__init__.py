"""The trading configuration as pure rules: model, fields, validation, merging, presets.

Start at `trading_config`; it is the door the API, the admin and the engine use.
"""
