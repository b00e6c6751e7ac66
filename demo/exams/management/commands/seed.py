"""Fills the reference site with rows and files, the same for the same seed."""

import argparse
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from exams.seeding.media import remove_media, scanning, write_documents
from exams.seeding.plan import Size
from exams.seeding.rows import fill, is_empty, remove_rows


def positive(text: str) -> int:
    """Return the whole number, at least 1, that the text states."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


class Command(BaseCommand):
    """Makes a school: exams, scanned copies, marks and an audit log."""

    help = "Fill the site with the exams of a school: rows and files, the same for the same seed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the size dials."""
        parser.add_argument("--copies", type=positive, default=300, help="exam copies (300)")
        parser.add_argument("--seed", type=int, default=Size.seed, help="where all randomness comes from (1)")
        parser.add_argument("--pages", type=positive, default=Size.pages, help="pages of a copy (4)")
        parser.add_argument("--annotations-per-copy", type=int, default=Size.annotations, metavar="N")
        parser.add_argument("--events-per-copy", type=int, default=Size.events, metavar="N")
        parser.add_argument("--replace", action="store_true", help="first remove what the site holds")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write rows and files side by side; the rows appear once the files are complete."""
        started = time.monotonic()
        size = Size(
            copies=options["copies"],
            seed=options["seed"],
            pages=options["pages"],
            annotations=options["annotations_per_copy"],
            events=options["events_per_copy"],
        )
        root = Path(settings.MEDIA_ROOT).absolute()
        self.make_room(root, replace=options["replace"])
        with transaction.atomic(), scanning(size, root) as scans:
            rows = fill(size)
            totals = [write_documents(root), *scans]
        files, octets = (sum(column) for column in zip(*totals, strict=True))
        seconds = time.monotonic() - started
        self.stdout.write(f"seeded {rows} rows, {files} files, {octets} bytes in {seconds:.1f} s")

    def make_room(self, root: Path, *, replace: bool) -> None:
        """Remove the former site if that is meant; refuse to mix the new one with it."""
        if replace:
            with transaction.atomic():
                remove_rows()
            remove_media(root)
        elif not is_empty():
            raise CommandError("the database already holds exams or users: --replace removes them first")
