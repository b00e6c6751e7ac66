"""Settings of the reference site, read from the environment under Korrigo's variable names."""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def secret_key(*, debug: bool) -> str:
    """Return the key of the environment; only a site in debug mode may do without one."""
    key = os.environ.get("DJANGO_SECRET_KEY") or os.environ.get("SECRET_KEY")
    if key:
        return key
    if debug:
        return "insecure-key-of-the-korrigo-demo"
    raise ImproperlyConfigured("DJANGO_SECRET_KEY is not set: set it, or DEBUG=1 for a local trial")


def database() -> dict[str, Any]:
    """Return the database: PostgreSQL, or SQLite when only KORRIGO_DEMO_SQLITE names a place."""
    sqlite = os.environ.get("KORRIGO_DEMO_SQLITE")
    host = os.environ.get("POSTGRES_HOST", "")
    if sqlite and not host:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": sqlite}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("POSTGRES_DB", "viatique"),
        "USER": os.environ.get("POSTGRES_USER", "viatique_user"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
        "HOST": host,  # a host name, or the directory of a Unix socket
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "OPTIONS": {"connect_timeout": 5},  # seconds: the health check must answer, not hang
    }


DEBUG = os.environ.get("DEBUG", "").lower() in {"1", "true", "yes", "on"}
SECRET_KEY = secret_key(debug=DEBUG)
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "exams",
    "korrigo_backup.djangoapp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "korrigo_demo.urls"
WSGI_APPLICATION = "korrigo_demo.wsgi.application"
DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "fr"
TIME_ZONE = "Europe/Paris"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT", str(BASE_DIR / "static"))
MEDIA_URL = "media/"
MEDIA_ROOT = os.environ.get("MEDIA_ROOT", str(BASE_DIR / "media"))

KORRIGO_BACKUP_PATH_COLUMNS = ["exams_booklet.pages_images"]  # page images are named in JSON, not in a FileField

KORRIGO_BACKUP_DIR = os.environ.get("BACKUP_DIR")  # for the page of backups in the admin, and the system check

# Celery runs in the stack only (infra/docker).
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "audit": {"task": "exams.tasks.write_audit", "schedule": float(os.environ.get("KORRIGO_DEMO_AUDIT_SECONDS", "5"))},
}
