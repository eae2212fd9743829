"""The keys of chips: a process of its own that alone has the roots, and gives cryptograms for a blank that a record holds.

`operations` computes them, `leases` says for whom, `blanks` asks the database, `protocol` is what goes over the socket between
`server` and `client`.
"""
