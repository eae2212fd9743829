"""The schema of payments, step by step."""

from pathlib import Path
from typing import Final

from services.common.schema import Schema

SCHEMA: Final = Schema("payments", Path(__file__).parent, needs="0013", role="onecard_payments")
