"""The schema of card, step by step."""

from pathlib import Path
from typing import Final

from services.common.schema import Schema

SCHEMA: Final = Schema("card", Path(__file__).parent, needs="0025", role="onecard_card")
