"""Becomes a command that ends with the program that began it: `python -I -S tether.py PARENT SIGNAL USER COMMAND…`.

A program of its own, because the kernel forgets the tether when the user changes: first the user, then the tether.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, signal_number: int, user: str, command: list[str]) -> None:
    """Take the user's rights (empty: keep ours), tie this process to its parent where Linux allows, become the command."""
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([account.pw_gid])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # it ended before the knot was tied
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is what this is for


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
