"""Keeping a desk and bringing it back: the database, the signer's key files as they are sealed, what it has let out.

`making` writes a folder with a manifest, `restoring` reads one into an empty desk; `postgres` runs the programs that
dump and load, `manifest` says what belongs to a backup and that nothing of it changed.
"""
