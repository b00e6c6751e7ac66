"""The configuration of a site with targets, and the objects that are on one."""

from pathlib import Path

from sandbox import Sandbox
from targetservers import S3Server


def cloud(site: Sandbox, s3: S3Server, *, more: str = "") -> str:
    return (
        f'[targets.cloud]\nurl = "s3://{s3.bucket}/{site.database}"\nendpoint = "{s3.endpoint}"\n'
        f'storage_class = "STANDARD_IA"\n{more}\n'
    )


def configure(site: Sandbox, *sections: str, s3: S3Server | None = None) -> None:
    (site.home / "korrigo-backup.toml").write_text("\n".join(sections))
    lines = [f"{name}={value}" for name, value in (s3.env if s3 else {}).items()]
    (site.home / "korrigo-backup.env").write_text("\n".join(lines) + "\n")


def objects(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
