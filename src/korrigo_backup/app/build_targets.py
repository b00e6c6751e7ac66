"""Build the targets from the configuration.

A separate module, so that only the verbs that copy import it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from korrigo_backup.app.build_policy import rule
from korrigo_backup.config.unattended import NEVER
from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import UsageError
from korrigo_backup.retention.policy import ARCHIVE, Policy, Rule, thinned
from korrigo_backup.targets.destination import Destination
from korrigo_backup.targets.directory import DeletingDirectoryTarget, DirectoryTarget
from korrigo_backup.targets.duplicity import DuplicityTarget
from korrigo_backup.targets.ledger import Ledger
from korrigo_backup.targets.pace import Pace
from korrigo_backup.targets.port import LockingTarget
from korrigo_backup.targets.rclone import DeletingRcloneTarget, RcloneTarget
from korrigo_backup.targets.s3 import Bucket, DeletingS3Target, S3Target
from korrigo_backup.targets.ssh import DeletingSshTarget, SshPlace, SshTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.config.targets import TargetSection
    from korrigo_backup.targets.port import Target

_KIB = 1024


def destinations(wired: Wired, names: Sequence[str] = (), *, sealing: bool = True) -> list[Destination]:
    """Return the targets called `names`, all without names; `sealing` is False for verbs that send nothing.

    Raises UsageError for an unknown name, without any target, and for a target that must seal and has no recipient.
    """
    sections = wired.config.targets
    for name in names:
        if name not in sections:
            known = ", ".join(sections) or "none is configured"
            raise UsageError(f"there is no target {name!r}", hint=f"known: {known}; see [targets.NAME]")
    if not sections:
        raise UsageError(
            "no target is configured, so there is no other place to copy to",
            hint='add a section [targets.NAME] with url = "s3://…" or "ssh://…" to korrigo-backup.toml',
        )
    return [_destination(wired, name, sections[name], sealing=sealing) for name in names or sections]


def destination(wired: Wired, name: str) -> Destination:
    """Return a target for a verb that reads from it."""
    return destinations(wired, [name], sealing=False)[0]


def policy_of(wired: Wired, name: str) -> Policy:
    """Return the retention policy of a target; the archive column of the runbook's table 7.1 is the default.

    With restore points through the day, the copies are thinned as the backups here are.
    """
    section, points = wired.config.targets[name].retention, wired.config.schedule.points != NEVER
    return Policy(
        database=rule(section.database, _archived(ARCHIVE.database, points=points)),
        media=rule(section.media, _archived(ARCHIVE.media, points=points)),
        complete=rule(section.complete, _archived(ARCHIVE.complete, points=points)),
        safety=rule(section.safety, ARCHIVE.safety),
        max_age=section.max_age,
    )


def _archived(found: Rule, *, points: bool) -> Rule:
    return thinned(found.days) if points else found


def secrets_of(environment: Mapping[str, str], names: Sequence[str]) -> list[Secret]:
    """Return the secret values of the targets called `names`."""
    found = [_credential(environment, name, part) for name in names for part in ("SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    found += [environment.get(_own(name, part)) for name in names for part in ("PASSPHRASE", "PASSWORD")]
    return [Secret(value) for value in found if value]


def _destination(wired: Wired, name: str, section: TargetSection, *, sealing: bool) -> Destination:
    if section.kind == "duplicity":
        return Destination(_duplicity(wired, name, section), (), section.is_off_site)
    recipients = section.recipients or wired.config.kit.recipients
    if section.seal and not recipients and sealing:
        raise UsageError(
            f"the target {name} has no recipient, and what leaves this host is sealed",
            hint="korrigo-backup seal init makes a key; its public key goes into [kit] recipients or"
            f" [targets.{name}] recipients; or set seal = false there",
        )
    target = _target(wired, name, section)
    if (section.lock_days or section.legal_hold) and not isinstance(target, LockingTarget):
        raise UsageError(
            f"the target {name} cannot lock objects: {section.url}",
            hint=f"lock_days and legal_hold of [targets.{name}] are for s3:// alone",
        )
    return Destination(
        target,
        recipients if section.seal else (),
        off_site=section.is_off_site,
        lock_days=section.lock_days,
        legal_hold=section.legal_hold,
        may_delete=section.may_delete,
    )


def _target(wired: Wired, name: str, section: TargetSection) -> Target:
    scheme, _, _ = section.url.partition(":")
    if scheme == "s3":
        return _s3(wired.environment, name, section)
    if scheme == "ssh":
        return _ssh(name, section)
    if scheme == "file":
        kinds = DeletingDirectoryTarget if section.may_delete else DirectoryTarget
        root = Path(section.url.removeprefix("file://"))
        return kinds(name, root, apart=wired.catalog.directory, pace=Pace(section.limit * _KIB))
    if scheme == "rclone":
        kind = DeletingRcloneTarget if section.may_delete else RcloneTarget
        return kind(name, section.url.removeprefix("rclone:"), section.rclone, section.limit, section.timeout)
    if section.url:
        raise UsageError(
            f"[targets.{name}] has the url {section.url}, which duplicity alone reaches",
            hint=f'[targets.{name}] kind = "duplicity"; or a url of s3://, ssh://, file:// or rclone:',
        )
    raise UsageError(f"[targets.{name}] has no url", hint='for example url = "s3://bucket/prefix"')


def _s3(environment: Mapping[str, str], name: str, section: TargetSection) -> Target:
    parts = urlsplit(section.url)
    secret, token = _credential(environment, name, "SECRET_ACCESS_KEY"), _credential(environment, name, "SESSION_TOKEN")
    bucket = Bucket(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint=section.endpoint,
        region=section.region,
        ca_file=section.ca_file,
        access_key=_credential(environment, name, "ACCESS_KEY_ID"),
        secret_key=Secret(secret) if secret else None,
        session_token=Secret(token) if token else None,
        profile=section.profile,
    )
    kind = DeletingS3Target if section.may_delete else S3Target
    return kind(
        name,
        bucket,
        storage_class=section.storage_class,
        lock_days=section.lock_days,
        lock_mode=section.lock_mode.upper(),
        timeout=section.timeout,
        pace=Pace(section.limit * _KIB),
    )


def _duplicity(wired: Wired, name: str, section: TargetSection) -> Target:
    if section.seal and not section.encrypt_key:
        raise UsageError(
            f"the target {name} has no encrypt_key, and what leaves this host is encrypted",
            hint=f'[targets.{name}] encrypt_key = "FINGERPRINT of a GPG key", or seal = false there',
        )
    if section.limit:
        raise UsageError(
            f"[targets.{name}] has a limit, and duplicity keeps none",
            hint='remove it; with an url of rsync: duplicity = "duplicity --rsync-options=--bwlimit=1000"',
        )
    env: dict[str, str | Secret] = {}
    if home := wired.environment.get("GNUPGHOME"):
        env["GNUPGHOME"] = home
    for variable, part in (("PASSPHRASE", "PASSPHRASE"), ("FTP_PASSWORD", "PASSWORD")):
        if value := wired.environment.get(_own(name, part)):
            env[variable] = Secret(value)
    lines = Ledger(wired.catalog.directory, name).lines

    def size(object_name: str) -> int:
        known = lines.get(object_name.partition("/")[2])
        return known.size if known else 0

    return DuplicityTarget(
        name,
        section.url,
        section.encrypt_key if section.seal else None,
        section.duplicity,
        full_days=section.full_days,
        timeout=section.timeout,
        env=env,
        sizes=size,
    )


def _ssh(name: str, section: TargetSection) -> Target:
    parts = urlsplit(section.url)
    root = parts.path[1:] if parts.path.startswith("/~") else parts.path
    at = SshPlace(
        host=parts.hostname or "",
        root=root.removeprefix("~/").rstrip("/") if root.startswith("~/") else root.rstrip("/"),
        user=parts.username,
        port=parts.port or 0,
        words=section.ssh,
    )
    kind = DeletingSshTarget if section.may_delete else SshTarget
    return kind(name, at, limit=section.limit, timeout=section.timeout)


def _credential(environment: Mapping[str, str], name: str, part: str) -> str | None:
    """Return a credential of a target: its own variable, else that of every AWS client."""
    return environment.get(_own(name, part)) or environment.get(f"AWS_{part}") or None


def _own(name: str, part: str) -> str:
    return f"KORRIGO_BACKUP_TARGET_{name.upper().replace('-', '_')}_{part}"
