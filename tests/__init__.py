"""Tests on real servers; see README.md."""

import os

# A server that runs as another user is begun by a fork, and gRPC's handlers abort one while its threads are at work.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
