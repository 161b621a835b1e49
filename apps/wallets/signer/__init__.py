"""The signer: the only process that ever holds a private key, and signs only what its own policy allows.

No Django, no database, no Redis. `process` starts it, `server` is its door, `service` its operations, `policy` and
`evidence` what it allows, `caps` what it has signed, `keyring` and `key_file` its keys. Callers use
`apps.wallets.signer_client`. What it guarantees is in docs/signer.md.
"""
