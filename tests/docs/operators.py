"""Somebody who types the commands of a page on a site."""

import re
import stat

from docs.console import commands, matches, run
from docs.test_documents import text
from sandbox import KORRIGO, USER, USER_PASSWORD

OURS = ("MEDIA_ROOT", "BACKUP_DIR")
CRONTAB = """#!/bin/sh
# the crontab of the operator, in a file of the test
file="$HOME/crontab"
case "$1" in
    -l) cat "$file" 2>/dev/null || { echo "no crontab for operator" >&2; exit 1; } ;;
    -) cat > "$file" ;;
    *) cat "$1" > "$file" ;;
esac
"""


class Operator:
    """Somebody in the directory of a site, with the programs of this environment and those of PostgreSQL."""

    def __init__(self, site):
        self.site = site
        tools = site.home / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "crontab").write_text(CRONTAB)
        (tools / "crontab").chmod(stat.S_IRWXU)
        self.env = site.env | {"LC_ALL": "C.UTF-8", "PATH": f"{tools}:{KORRIGO.parent}:{site.env['PATH']}"}
        self.reach(site.server.access())

    def reach(self, access):
        """Use the server at `access` from now on, with the same role."""
        self.env |= {"PGHOST": access.host, "PGPORT": str(access.port), "PGUSER": USER, "PGPASSWORD": USER_PASSWORD}
        self.env |= {"POSTGRES_HOST": access.host, "POSTGRES_PORT": str(access.port)}

    def settle(self):
        """Have the settings in a file, as a scheduled run needs them, and not in the environment."""
        names = [name for name in self.env if name.startswith(("POSTGRES_", "KORRIGO_BACKUP_")) or name in OURS]
        path = self.site.home / "korrigo-backup.env"
        path.write_text("".join(f"{name}='{self.env.pop(name)}'\n" for name in names))
        path.chmod(0o600)

    def follow(self, page, words, *, after="", until=""):
        """Type the commands of a page, or of its part between two texts; `words` are the names in it that are examples."""
        content = text(page)
        content = content[content.index(after) if after else 0 : content.index(until) if until else None]
        for example, own in words.items():
            assert example in content, f"{example} is not in {page.name}"
            content = re.sub(rf"(?<![\w-]){re.escape(example)}(?![\w-])", own.replace("\\", r"\\"), content)
        typed = commands(content)
        assert typed
        for one, printed in zip(typed, run(typed, cwd=self.site.home, env=self.env), strict=True):
            assert not one.printed or matches(one.printed, printed), f"$ {one.command}\n{printed}"
