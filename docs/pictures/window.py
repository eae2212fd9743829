"""Draws `window-*.svg` beside itself, from the real program at its tasks: `python docs/pictures/window.py`."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DRAWN = HERE.parents[1] / "build" / "pictures"
WANTED = {
    "holder-80x24": "holder",
    "apply-photo": "apply",
    "hand-over": "hand-over",
    "issue-done": "issue",
    "receipt": "receipt",
    "kiosk-mine-1": "kiosk",
}
FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""They would be fetched from elsewhere."""

subprocess.run([sys.executable, "-m", "pytest", "tests/integration/terminal", "-q"], cwd=HERE.parents[1], check=True)
for drawn, name in WANTED.items():
    picture = FONT.sub("", (DRAWN / f"{drawn}.svg").read_text(encoding="utf-8"))
    (HERE / f"window-{name}.svg").write_text(picture, encoding="utf-8")
