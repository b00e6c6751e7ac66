"""Print the lines of a lock file that an installation needs: `lock.py REPORT LOCK` (the report is pip's).

So the image gets the locked versions with their hashes, and there is no second lock file that could fall behind.
"""

import json
import re
import sys
from pathlib import Path


def main(report: str, lock: str) -> None:
    """Print the requirements of `report` as `lock` has them; the program itself, a local file, is left out."""
    installed = json.loads(Path(report).read_text(encoding="utf-8"))["install"]
    wanted = {_plain(entry["metadata"]["name"]) for entry in installed if not entry["is_direct"]}
    entries = re.findall(r"^([\w.-]+)(==(?:.*\\\n)*.*\n)", Path(lock).read_text(encoding="utf-8"), re.MULTILINE)
    locked = {_plain(name): name + rest for name, rest in entries}
    if missing := wanted - locked.keys():
        sys.exit(f"{lock} does not hold {', '.join(sorted(missing))}")
    sys.stdout.write("".join(locked[name] for name in sorted(wanted)))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
