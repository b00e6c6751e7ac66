"""Validate a restored site: the runbook's 5.6, one part after the other; a part that fails stops no other.

No data are changed: the probe undoes its own changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.core.site_description import Description, Probe
from korrigo_backup.erasure.erased import ErasedPaths
from korrigo_backup.errors import KorrigoBackupError, NotConfigured, Unreachable
from korrigo_backup.run import journal
from korrigo_backup.run.record import erased_by, erased_files_by
from korrigo_backup.run.step import Checking, FindingMade, Listener, silent
from korrigo_backup.site.health import Health
from korrigo_backup.site.manage import DESCRIBE, PROBE
from korrigo_backup.system.background import Background
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase
from korrigo_backup.validate import database as validate_database
from korrigo_backup.validate import media as validate_media
from korrigo_backup.validate.evaluate import accepted, unknown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.site.site import Site

T = TypeVar("T")

Probing = Background[Probe | KorrigoBackupError | None]
"""A probe in progress; the reason of a failure is its result."""


@dataclass
class ValidationInputs:
    """The site and the backup to compare it with, and facts that are read once."""

    site: Site
    artifact: Artifact | None
    strict: bool
    point: Artifact | None = None
    saved: Artifact | None = None
    probing: Probing | None = None
    unreachable: str | None = field(default=None, init=False)

    @property
    def probed(self) -> Probe | KorrigoBackupError | None:
        """The result of the probe, or the reason of its failure; None if the site's Django is not configured."""
        self.probing = self.probing or begin_probe(self.site)
        return self.probing.result()

    @cached_property
    def described(self) -> Description | KorrigoBackupError | None:
        """The description by the site's Django, or the reason of its failure; None if it is not configured."""
        if isinstance(self.probed, Probe) and self.probed.described:
            return self.probed.described
        return self.probed if isinstance(self.probed, NotConfigured) else _asked(self.site, DESCRIBE, Description)

    @property
    def description(self) -> Description | None:
        """The description by the site's Django, if there is one."""
        return self.described if isinstance(self.described, Description) else None

    @property
    def answering(self) -> Site:
        """The site, without its Django where that has failed to answer already."""
        return replace(self.site, django=None) if isinstance(self.described, KorrigoBackupError) else self.site


def begin_probe(site: Site) -> Probing:
    """Start the probe of a site, whose result `validate` takes: it loads the site's code first, a second or more.

    It describes the site, too; an app of an earlier version does not.
    """
    return Background(partial(_asked, site, PROBE, Probe, "--verbosity", "2"))


def _asked(site: Site, command: str, answer: type[T], *options: str) -> T | KorrigoBackupError | None:
    try:
        return site.django.ask(command, answer, *options) if site.django else None
    except KorrigoBackupError as problem:
        return problem


@dataclass(frozen=True)
class ValidationPart:
    """A part of the validation: the step that announces it, the finding for a check that could not be made."""

    id: str
    check: Callable[[ValidationInputs], Iterator[Finding]]
    of_database: bool = False


@phase("validation")
def validate(
    site: Site,
    artifact: Artifact | None,
    *,
    point: Artifact | None = None,
    saved: Artifact | None = None,
    accept: Mapping[str, str] = MappingProxyType({}),
    listen: Listener = silent,
    strict: bool = False,
    probing: Probing | None = None,
) -> list[Finding]:
    """Return the findings about a live site, all of them, even if a part fails.

    With `artifact` its tables, rows or files are compared; a table that differs is a warning, because the site may have
    written since, and with `strict` an error. As many missing files as when the restore `point` was made are no error,
    nor is any state of the database that was the same in the backup `saved`. `accept` gives the reasons for which the
    site lives with a finding, by id. `listen` receives each part as it begins (`validate.health`, …) and each finding
    as it is made.
    """
    given, findings = ValidationInputs(site, artifact, strict, point, saved, probing), []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        listen(FindingMade(finding))

    with site.postgres.asking(), site.postgres.asking(site.postgres.database):
        for part in PARTS:
            listen(Checking(part.id))
            for finding in _checked(part, given):
                tell(accepted(finding, accept))
            if part.check is _health:  # a site that is still starting migrates its database, perhaps
                given.probing = given.probing or begin_probe(site)
    for finding in unknown_names(accept):
        tell(finding)
    return findings


def _checked(part: ValidationPart, given: ValidationInputs) -> Iterator[Finding]:
    if part.of_database and given.unreachable:
        yield error(part.id, f"not checked: {given.unreachable}")
        return
    try:
        with explained("look at the site"):
            yield from part.check(given)
    except KorrigoBackupError as problem:
        if part.of_database and isinstance(problem, Unreachable):
            given.unreachable = problem.message
        yield error(part.id, problem.message, problem.hint)


def _health(given: ValidationInputs) -> Iterator[Finding]:
    services = given.site.services
    before = services.look()
    if not services.health_url and not before.url:
        hint = "set [services] health_url to an address of the site that answers 200"
        yield warning("validate.health", "Health check not made: no address is configured, and none answers", hint)
        return
    try:
        services.await_health(services.running(), Health(url=before.url), lambda _: None)
    except KorrigoBackupError as problem:
        yield error("validate.health", f"Health check failed: {problem.message}", problem.hint)
    else:
        yield ok("validate.health", "Health check OK")


def _tables(given: ValidationInputs) -> Iterator[Finding]:
    return validate_database.content(
        given.site,
        given.artifact,
        lambda: given.description,
        given.saved,
        strict=given.strict,
        erased=_erased(given),
    )


def _erased(given: ValidationInputs) -> Mapping[str, int]:
    """Return the rows that the newest restore has taken out again, if it was of the artifact that is compared."""
    if given.artifact is None:
        return {}
    names = {given.artifact.name, *((given.point.name,) if given.point else ())}
    return erased_by(journal.read(given.artifact.directory), names)


def _erased_files(given: ValidationInputs) -> ErasedPaths:
    """Return the files that the newest restore has erased."""
    known = next(filter(None, (given.artifact, given.point, given.saved)), None)
    if known is None or given.site.ledger is None:
        return ErasedPaths()
    hashes = erased_files_by(journal.read(known.directory))
    return ErasedPaths(given.site.ledger.keyring.keys, hashes)


def _users(given: ValidationInputs) -> Iterator[Finding]:
    return validate_database.users(given.site, given.description, given.saved)


def _media(given: ValidationInputs) -> Iterator[Finding]:
    return validate_media.tree(given.site, given.artifact, given.description, given.point, erased=_erased_files(given))


def _migrations(given: ValidationInputs) -> Iterator[Finding]:
    if isinstance(given.described, NotConfigured):
        message = f"not configured, so the site's Django was not asked: {given.described.message}"
        yield warning("validate.django", message, given.described.hint)
    elif isinstance(given.described, KorrigoBackupError):
        yield error("validate.django", given.described.message, given.described.hint)
    elif given.described is None:
        yield warning("validate.django", "the site's Django was not asked: no command is configured", _NO_DJANGO)
    else:
        yield _same_database(given.site.postgres.database, given.described)
    yield from validate_database.migrations(given.site, given.description, given.saved)


def _same_database(ours: str, described: Description) -> Finding:
    theirs = described.database.name
    if theirs != ours:
        return warning(
            "validate.django",
            f"the site's settings name the database {theirs!r}, this validation looks at {ours!r}",
            "right with a connection pooler that renames; else set POSTGRES_DB to the site's own",
        )
    revision = f", code {described.revision[:12]}" if described.revision else ""
    return ok("validate.django", f"Django OK ({described.django}, Python {described.python}{revision})")


def _media_against_database(given: ValidationInputs) -> Iterator[Finding]:
    return validate_media.references(given.answering, given.point, given.description, erased=_erased_files(given))


def _probe(given: ValidationInputs) -> Iterator[Finding]:
    if given.site.django is None or isinstance(given.described, NotConfigured):
        hint = given.described.hint if isinstance(given.described, NotConfigured) else _NO_DJANGO
        yield warning("validate.probe", "Login, create, update and delete were not tried", hint)
        return
    if isinstance(given.probed, KorrigoBackupError):
        raise given.probed
    checks = given.probed.checks if given.probed else ()
    for check in checks:
        if check.ok:
            continue
        if check.id == "superusers":
            yield warning("validate.superusers", "no user is superuser: the admin cannot be used", _SUPERUSER)
        elif check.id == "users":
            saved = given.saved
            as_saved = saved and validate_database.users_are_as_saved(given.site, given.description, saved)
            since = f", as in {saved.name}" if saved and as_saved else ""
            yield (warning if as_saved else error)("validate.users", check.message + since, _SUPERUSER)
        else:
            yield error("validate.probe", check.message, "see the site's log; python manage.py korrigo_probe")
    if all(check.ok for check in checks if check.id != "superusers"):
        tried = {check.id: check.message for check in checks}
        if untried := [check.message for check in checks if not check.tried]:
            yield warning("validate.probe", "; ".join(untried), "try it by hand, as a user of the site")
        elif "login" in tried:
            yield ok("validate.probe", f"Login, create, update, delete OK ({tried['login']})")
        else:
            words = f"Login, create, update and delete were not tried: {tried.get('create', 'this site has no users')}"
            yield warning("validate.probe", words, "log in as a user of one tenant")


def _properties(given: ValidationInputs) -> Iterator[Finding]:
    return validate_database.properties(given.site, given.artifact, strict=given.strict)


_NO_DJANGO = 'set [django] manage = ["python", "manage.py"], or KORRIGO_BACKUP_MANAGE'
_SUPERUSER = "python manage.py createsuperuser"

PARTS = (
    ValidationPart("validate.health", _health),
    ValidationPart("validate.tables", _tables, of_database=True),
    ValidationPart("validate.users", _users, of_database=True),
    ValidationPart("validate.media", _media),
    ValidationPart("validate.migrations", _migrations, of_database=True),
    ValidationPart("media.references", _media_against_database, of_database=True),
    ValidationPart("validate.probe", _probe),
    ValidationPart("validate.database", _properties, of_database=True),
)
"""In the runbook's order, then the checks that it leaves to people."""
