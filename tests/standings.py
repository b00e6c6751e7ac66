"""Sites as the status sees them, without a file: backups, runs of the journal, and what else was read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import DatabaseProof, Manifest, MediaProof, TableProof
from korrigo_backup.artifact.naming import compose, stamp
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.run.record import Outcome, Record, Timed
from korrigo_backup.status.model import Facts

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
GB = 10**9


def backup(hours, *, kind=Kind.SQL, size=GB, rows=1000, site="korrigo", **more):
    created = NOW - timedelta(hours=hours)
    database = DatabaseProof(
        name="v", server_version="16", client_version="16", digest="x", tables=(TableProof("public.t", rows),)
    )
    manifest = Manifest(
        timestamp=stamp(created),
        includes_media=kind is Kind.MEDIA,
        database_backup=None,
        media_backup=None,
        backup_dir="/b",
        format=1,
        kind=kind,
        site=site,
        environment="production",
        created=created,
        seconds=12.5,
        database=database if kind is Kind.SQL else None,
        media=MediaProof(files=4, bytes=9, members="m", root="r") if kind is Kind.MEDIA else None,
    )
    given: dict[str, Any] = {
        "source": manifest,
        "authenticity": Authenticity.AUTHENTIC,
        "origin": Origin.ROUTINE,
    } | more
    name = compose(kind, given["origin"], stamp(created))
    return Artifact(
        directory=Path("/b"), name=name, kind=kind, stamp=stamp(created), created=created, size=size, **given
    )


def ran(hours, outcome=Outcome.DONE, *, verb="backup", subject="db", steps=(), message="", **more):
    return Record(
        id=f"{verb}{subject}{hours}",
        verb=verb,
        subject=subject,
        site="korrigo",
        by="root@host",
        started=NOW - timedelta(hours=hours),
        outcome=outcome,
        message=message,
        steps=tuple(Timed(step, 0.0) for step in steps),
        **more,
    )


def facts(*artifacts, **more):
    given: dict[str, Any] = {"site": "korrigo", "environment": "production", "free": 100 * GB, "total": 200 * GB} | more
    ordered = sorted(artifacts, key=lambda artifact: artifact.created, reverse=True)
    return Facts(taken=NOW, directory="/b", artifacts=tuple(ordered), **given)


def healthy(**more):
    restored = ran(30, verb="restore", subject="x", steps=["restore.proven"])
    given: dict[str, Any] = {"records": [restored, ran(3)]} | more
    return facts(backup(3), backup(27), backup(50, kind=Kind.MEDIA), **given)
