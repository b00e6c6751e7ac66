"""The artifact that a verb's argument names; a bad one that `latest` passes over is named on standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from korrigo_backup.cli.output import in_language
from korrigo_backup.cli.program.terminal import coloured
from korrigo_backup.core.paths import printable
from korrigo_backup.system import screen

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.kinds import Kind

ARTIFACT = "A path, a name or its beginning, latest, latest-point, latest-media, a date."
"""The help of an argument that names an artifact."""


def find_artifact(wired: Wired, name: str, kind: Kind | None = None) -> Artifact:
    """Return the artifact called `name`, as `Catalog.find`."""
    found = wired.catalog.find(name, kind)
    for one in found.passed_over:
        say_passed_over(one.name, one.why)
    return found


def say_passed_over(name: str, why: str) -> None:
    """Print a newer backup that is not the `latest`, with the reason."""
    text = in_language(f"warning: newer, and passed over: {printable(name)} {why}")
    with contextlib.suppress(OSError), screen.above():  # a closed stream does not end the verb
        print(coloured(text, sys.stderr), file=sys.stderr, flush=True)
