"""Keeps models with types of PostgreSQL off SQLite."""


class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):  # noqa: ARG002 - Django's signature
        return not (db == "lite" and model_name in {"onlypostgres", "lists", "beyond"})
