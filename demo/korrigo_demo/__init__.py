"""The reference site: a small Django project shaped like Korrigo."""
