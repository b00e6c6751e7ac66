"""The schedule of a site as lines of a crontab: a marked block, a line for each job."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import Refused
from korrigo_backup.schedule import crontab_lines as lines
from korrigo_backup.schedule.crontab import Crontab, daemon_runs
from korrigo_backup.schedule.model import By, Change, Job, RunEnvironment, jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class CronSchedule:
    """Our block in a crontab; every other byte of it is its owner's."""

    wanted: tuple[Job, ...]
    around: RunEnvironment
    crontab: Crontab
    by: By = By.CRON

    def require(self) -> None:
        """Raise Refused when there is no cron."""
        self.crontab.require()

    def plan(self) -> list[Change]:
        """Return the changes of an installation; ValueError for a line that cron does not take."""
        if not self.wanted:
            return self.plan_removal()
        block = lines.block(self.wanted, self.around)
        with self._understood():
            return self._change(lines.with_block(self.crontab.read(), self.around.identity, block))

    def plan_removal(self) -> list[Change]:
        """Return the changes of a removal: only our block is removed."""
        with self._understood():
            return self._change(lines.without_block(self.crontab.read(), self.around.identity))

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply the changes; Refused if the crontab was changed meanwhile."""
        for change in changes:
            if _text(self.crontab.read()) != change.before:
                raise Refused(f"{self.crontab.name} was changed meanwhile", hint="run it again")
            self.crontab.write((change.after or "").encode("utf-8", "surrogateescape"))

    def installed(self) -> tuple[Job, ...]:
        """Return the jobs that have a line, with the hours that stand in it."""
        block = self._block() or b""
        return jobs(lines.hours_in(block), media=lines.has_media(block))

    def there(self) -> bool:
        """Return whether our block is there."""
        return self._block() is not None

    def findings(self) -> list[Finding]:
        """Return findings about lines that cannot start, and about other backups in that crontab."""
        found = []
        if not daemon_runs():
            found.append(
                warning(
                    "schedule.daemon",
                    "no cron daemon seems to run here",
                    "sudo systemctl enable --now cron, or sudo service cron start",
                )
            )
        if others := lines.elsewhere(self.crontab.read(), self.around.identity):
            numbers = ", ".join(map(str, others))
            what = f"{self.crontab.name} backs up in other lines, too, which stay as they are (line {numbers})"
            found.append(warning("schedule.twice", what, "crontab -e: remove those that this schedule replaces"))
        return found

    def _block(self) -> bytes | None:
        with self._understood():
            return lines.block_in(self.crontab.read(), self.around.identity)

    def _change(self, after: bytes) -> list[Change]:
        before = self.crontab.read()
        return [Change(self.crontab.name, _text(before), _text(after))] if before != after else []

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Refuse broken marks: the lines between them may belong to the user."""
        try:
            yield
        except ValueError as problem:
            raise Refused(f"{self.crontab.name}: {problem}", hint="crontab -e: mend or remove those lines") from None


def _text(content: bytes) -> str | None:
    return content.decode("utf-8", "surrogateescape") if content else None
