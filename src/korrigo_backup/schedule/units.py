"""The schedule of a site as systemd's units: a service and a timer for each job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import Refused
from korrigo_backup.run.journal import user
from korrigo_backup.schedule.model import By, Change, Job, RunEnvironment, jobs
from korrigo_backup.schedule.unit_files import hours_in, is_ours, units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from korrigo_backup.schedule.systemd import Systemd


@dataclass(frozen=True)
class UnitSchedule:
    """Our units among the others of a directory; the first line of each names its site."""

    wanted: tuple[Job, ...]
    around: RunEnvironment
    systemd: Systemd
    media: Callable[[], Path | None]
    """Asks where the uploads are on this machine when that is not in the configuration (Docker Compose)."""
    by: By = By.SYSTEMD

    def require(self) -> None:
        """Raise Refused when systemd does not run this machine."""
        self.systemd.require()

    def plan(self) -> list[Change]:
        """Return the changes of an installation; ValueError for hours that no single timer can express.

        Raises as `media` if the media cannot be found, and Refused if a unit of that name exists that was not made for
        this site.
        """
        wanted = units(self.wanted, self._around(), system=self.systemd.system)
        for name in wanted:
            text = self.systemd.read(name)
            if text is not None and not is_ours(text, self.around.identity):
                raise Refused(
                    f"{self._path(name)} is there, and was not made by korrigo-backup for {self.around.identity}",
                    hint=f"systemctl disable --now {name.rsplit('.', 1)[0]}.timer and move it away,"
                    " or give the site a name of its own ([site] name)",
                )
        after: dict[str, str | None] = {**dict.fromkeys(self._own()), **wanted}
        changes = [Change(self._path(name), self.systemd.read(name), text) for name, text in after.items()]
        return [change for change in changes if change.before != change.after]

    def plan_removal(self) -> list[Change]:
        """Return the changes of a removal: only our units are removed."""
        return [Change(self._path(name), self.systemd.read(name), None) for name in self._own()]

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes true, all of them or none: write, read them anew, start the timers."""
        self.systemd.apply({change.where.rsplit("/", 1)[1]: change.after for change in changes})

    def installed(self) -> tuple[Job, ...]:
        """Return the jobs that have a timer, with the hours that it was made from."""
        found: dict[str, str] = {}
        for name in self._timers():
            found |= hours_in(self.systemd.read(name) or "")
        return jobs(found)

    def there(self) -> bool:
        """Return whether any unit of ours is there."""
        return bool(self._own())

    def findings(self) -> list[Finding]:
        """Return findings about installed timers that cannot start their jobs."""
        found = []
        for name in self._timers():
            enabled, active = self.systemd.state(name)
            if not (enabled and active):
                what = f"{name} is {'not active' if enabled else 'not enabled'}: it starts no job"
                found.append(warning("schedule.inactive", what, f"systemctl enable --now {name}"))
        me = user()
        if not self.systemd.lingers(me):
            what = f"the timers stop when {me} logs out"
            found.append(warning("schedule.linger", what, f"loginctl enable-linger {me}"))
        return found

    def _around(self) -> RunEnvironment:
        """Return the surroundings with the uploads: a run first undoes an interrupted restore there."""
        media = self.media()
        return replace(self.around, writable=(*self.around.writable, str(media))) if media else self.around

    def _own(self) -> list[str]:
        endings, identity = (".service", ".timer"), self.around.identity
        names = [name for name in self.systemd.names() if name.endswith(endings)]
        return [name for name in names if is_ours(self.systemd.read(name) or "", identity)]

    def _timers(self) -> list[str]:
        return [name for name in self._own() if name.endswith(".timer")]

    def _path(self, name: str) -> str:
        return str(self.systemd.directory / name)
