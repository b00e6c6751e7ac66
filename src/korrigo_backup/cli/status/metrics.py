"""`korrigo-backup metrics`: the status for Prometheus."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build_status import status
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say_data
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.status.publish import write_metrics
from korrigo_backup.config.unattended import METRICS_ENDING
from korrigo_backup.errors import UsageError
from korrigo_backup.status.metrics import metrics, samples

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired


def command(
    context: typer.Context,
    textfile: Annotated[
        Path | None,
        typer.Option(metavar="FILE.prom", help="Write to this file at once, for node_exporter's textfile collector."),
    ] = None,
) -> None:
    """Print the status as metrics in Prometheus' text format, or write them to a file."""
    if textfile and (textfile.suffix != METRICS_ENDING or textfile.is_dir()):
        raise UsageError(
            f"{textfile} is not a file that node_exporter reads",
            hint=f"name a file that ends in {METRICS_ENDING}, in the directory of --collector.textfile.directory",
        )
    wired: Wired = context.ensure_object(CommandContext).wired()
    if textfile is None:
        found = status(wired, now=local_now(), ask=False)
        add_to_document(metrics=samples(found))
        say_data(metrics(found).rstrip("\n"))
    else:
        write_metrics(wired, textfile)
        add_to_document(file=str(textfile.absolute()))
