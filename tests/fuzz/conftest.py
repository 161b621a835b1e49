"""The hooks belong to schemathesis alone: importing them, as the collection of doctests would, registers them."""

collect_ignore = ["hooks.py", "__main__.py"]
