"""A site with every model that a backup could get wrong, on PostgreSQL (default) and SQLite (lite)."""

SECRET_KEY = "test"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "testsite",
    "korrigo_backup.djangoapp",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres"},
    "lite": {"ENGINE": "django.db.backends.sqlite3", "NAME": "set-by-conftest"},
}
DATABASE_ROUTERS = ["testsite.router.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
MIGRATION_MODULES = dict.fromkeys(("auth", "contenttypes", "sessions"))  # tables straight from the models
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
