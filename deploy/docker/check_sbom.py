"""Does the image's bill of materials name exactly what is locked, and nothing that is not? FILE REQUIREMENTS."""

import json
import re
import sys
from pathlib import Path

OURS = "onecard"
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)( ;)?", re.MULTILINE)


def main() -> None:
    """Ends with 1, and says why, where it does not."""
    bill = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    named = {component["name"].lower().replace("_", "-"): component["version"] for component in bill["components"]}
    locked: dict[str, set[str]] = {}
    somewhere = set()  # not on every machine, or in other versions there
    for name, version, marker in PIN.findall(Path(sys.argv[2]).read_text(encoding="utf-8")):
        locked.setdefault(name, set()).add(version)
        if marker:
            somewhere.add(name)
    foreign = sorted(
        f"{name} {version}" for name, version in named.items() if name != OURS and version not in locked.get(name, ())
    )
    absent = sorted(locked.keys() - named.keys() - somewhere)
    if bill["bomFormat"] != "CycloneDX" or foreign or absent or named.get(OURS) is None:
        sys.exit(f"the bill of materials is wrong: not locked {foreign}, not named {absent}, ours {named.get(OURS)}")
    sys.stdout.write(f"        the bill of materials names {len(named)} packages, each as it is locked\n")


if __name__ == "__main__":
    main()
