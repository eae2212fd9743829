"""A terminal's program in a process of its own: it emits what lies in its spool and hears until it is ended.

`python -m tests.support.week_offline BROKER API SPOOL [die]`: with `die` it kills itself when the first outcomes are written.
"""

import sys
import time
from pathlib import Path

from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from tests.support.merchant import MortalSpool

NEVER = 10**9


def main(bootstrap: str, api: str, path: str, die: str = "") -> None:
    MortalSpool.point = "kept"
    MortalSpool.arrival = 1 if die else NEVER
    with MortalSpool(Path(path)) as spool, MerchantClient(bootstrap, spool, Access(api)):
        while True:  # outcomes of taps that are answered may be adjusted
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
