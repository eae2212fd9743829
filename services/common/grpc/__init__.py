"""The edge of a service: who may call it over gRPC, what is counted and logged of a call, and how it ends.

`listen` says where, `server` puts everything together, `edge` is what every call goes through.
"""
