"""`python -m cli.terminal …`: `onecard window …`, as a served page starts it. It ends with the server that has started it."""

import os
import signal
import sys
import threading
import time
from typing import Final

from cli.main import app

LOOK_SECONDS: Final = 1.0
LEAVING_SECONDS: Final = 10.0


def end_with(server: int) -> None:
    """A server that was killed tells nobody: who is signed in is signed out, and no process stays."""
    while os.getppid() == server:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEAVING_SECONDS)
    os._exit(1)


threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
app(["window", *sys.argv[1:]])
