"""`python -m cli.terminal …`: `onecard window …`, as a served page starts it."""

import sys

from cli.main import app

app(["window", *sys.argv[1:]])
