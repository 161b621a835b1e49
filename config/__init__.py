"""The composition root: settings, processes and how the desk is run.

Empty on purpose: `config.runtime` must start with nothing but the standard library.
"""
