"""The environment variables that set the configuration, by name."""

from __future__ import annotations

VARIABLES: dict[str, tuple[str, str]] = {
    "POSTGRES_DB": ("database", "name"),
    "POSTGRES_USER": ("database", "user"),
    "POSTGRES_PASSWORD": ("database", "password"),
    "POSTGRES_HOST": ("database", "host"),
    "POSTGRES_PORT": ("database", "port"),
    "PGSSLMODE": ("database", "sslmode"),
    "PGSSLROOTCERT": ("database", "sslrootcert"),
    "PGSSLCERT": ("database", "sslcert"),
    "PGSSLKEY": ("database", "sslkey"),
    "PGPASSFILE": ("database", "passfile"),
    "PGCONNECT_TIMEOUT": ("database", "connect_timeout"),
    "MEDIA_ROOT": ("media", "root"),
    "BACKUP_DIR": ("backup", "dir"),
    "BACKUP_RETENTION_DAYS": ("backup", "retention_days"),
    "KORRIGO_BACKUP_SITE": ("site", "name"),
    "KORRIGO_BACKUP_ENVIRONMENT": ("site", "environment"),
    "KORRIGO_BACKUP_REVISION": ("site", "revision"),
    "KORRIGO_BACKUP_KEY_FILE": ("backup", "key_file"),
    "KORRIGO_BACKUP_CLIENT_DIR": ("database", "client_dir"),
    "KORRIGO_BACKUP_MANAGE": ("django", "manage"),
    "KORRIGO_BACKUP_NOTIFY_URLS": ("notify", "urls"),
    "KORRIGO_BACKUP_HEALTHCHECKS_URL": ("notify", "healthchecks_url"),
    "KORRIGO_BACKUP_KIT_RECIPIENTS": ("kit", "recipients"),
    "KORRIGO_BACKUP_DAILY": ("schedule", "daily"),
    "KORRIGO_BACKUP_WEEKLY": ("schedule", "weekly"),
    "KORRIGO_BACKUP_POINTS": ("schedule", "points"),
    "KORRIGO_BACKUP_DRILL": ("schedule", "drill"),
    "KORRIGO_BACKUP_OVERDUE": ("schedule", "overdue"),
}
"""The runbook's variables (2.3) and ours, with the section and key each one sets. An empty one is as unset."""
