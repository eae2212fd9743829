"""The schema of issuance, step by step."""

from pathlib import Path
from typing import Final

from services.common.schema import Schema

SCHEMA: Final = Schema("issuance", Path(__file__).parent, needs="0004", role="onecard_issuance")
