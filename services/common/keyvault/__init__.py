"""Keys that never leave: each service opens a token of its own, with a PIN of its own, that holds only its keys.

`vault` says what a vault does, `software` is one in a file, `hardware` one behind PKCS#11 with the roots of chips'
keys, `field` seals personal data under a key that a vault has wrapped.
"""
