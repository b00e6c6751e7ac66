"""Somebody who types the commands of a page on a site."""

import re
import stat
from typing import Any

from docs.console import commands, matches, run
from docs.test_documents import PROJECT, text
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
    """Somebody in the directory of a site, with the programs of this environment."""

    site: Any

    def __init__(self, home, env):
        self.home = home
        tools = home / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "crontab").write_text(CRONTAB)
        (tools / "crontab").chmod(stat.S_IRWXU)
        self.env = env | {"LC_ALL": "C.UTF-8", "PATH": f"{tools}:{KORRIGO.parent}:{env['PATH']}"}

    @classmethod
    def of(cls, site):
        """Return the operator of a site that is reached directly, who has PostgreSQL's programs, too."""
        made = cls(site.home, site.env)
        made.site = site
        made.reach(site.server.access())
        return made

    def reach(self, access):
        """Use the server at `access` from now on, with the same role."""
        self.env |= {"PGHOST": access.host, "PGPORT": str(access.port), "PGUSER": USER, "PGPASSWORD": USER_PASSWORD}
        self.env |= {"POSTGRES_HOST": access.host, "POSTGRES_PORT": str(access.port)}

    def settle(self):
        """Have the settings in a file, as a scheduled run needs them, and not in the environment."""
        names = [name for name in self.env if name.startswith(("POSTGRES_", "KORRIGO_BACKUP_")) or name in OURS]
        path = self.home / "korrigo-backup.env"
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
        for one, printed in zip(typed, run(typed, cwd=self.home, env=self.env), strict=True):
            assert not one.printed or matches(one.printed, printed), f"$ {one.command}\n{printed}"


RUNBOOK = PROJECT / "docs" / "fr" / "runbook.md"
ENDS = {
    "korrigo-backup doctor": 10,
    "korrigo-backup doctor --fix": 10,
    "korrigo-backup checklist": 10,
    "korrigo-backup checklist release": 10,
    "korrigo-backup status": 10,
    "korrigo-backup compare latest": 9,
    "korrigo-backup compare avant.json": 9,  # the stack has a writer that never rests
    "korrigo-backup init": 3,
    "korrigo-backup nightly --full": 3,
}
"""Commands of the runbook that may find something on a site, and end with this code when they do."""

SETTINGS = """
[kit]
recipients = ["{public}"]

[targets.cloud]
url = "file://{disk}"
off_site = true

[notify]
urls = ["json://127.0.0.1:{port}/"]

[staging]
host = "{access.host}"
port = {access.port}
user = "{user}"
password = "{password}"
name = "{database}_staging"
"""


def type_the_runbook(operator, settings, *, without):
    """Type the runbook in French from its first command to its last, but for those of `without`, each with its reason."""
    content = text(RUNBOOK)
    for command, reason in without.items():
        assert f"$ {command}\n…\n" in content, reason
        content = content.replace(f"$ {command}\n…\n", "")
    for command, code in ENDS.items():
        assert f"$ {command}\n" in content, command
        content = content.replace(f"$ {command}\n", f"$ {command} || [ $? = {code} ]\n")
    assert len(commands(content)) > 60
    page = operator.home / "runbook.md"
    page.write_text(content, encoding="utf-8")
    operator.follow(page, {}, until="### 2.3 ")
    (operator.home / "korrigo-backup.toml").write_text(settings, encoding="utf-8")
    operator.follow(page, {}, after="### 2.3 ", until="### 5.4 ")
    (made,) = (operator.home / "backups").glob("korrigo_backup_*")
    operator.follow(page, {"korrigo_backup_20260203_120000": made.name}, after="### 5.4 ", until="### 5.5 ")
    operator.follow(page, {}, after="### 5.5 ")
