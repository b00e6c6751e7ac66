"""The reference site with the rivals' commands beside ours, and without the signal that makes `loaddata` fail."""

from korrigo_demo.settings import *  # noqa: F403
from korrigo_demo.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "former", "quiet"]
