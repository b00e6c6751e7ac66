"""The line of each step, and the steps of manage.py on their way to the host."""

from typing import get_args

import msgspec
import pytest

from korrigo_backup.core.finding import Finding, Level
from korrigo_backup.run import step as of
from korrigo_backup.run.narrate import narrate, narrate_django
from korrigo_backup.site.served_protocol import StepMessage, decode, encode, message_of, step_of

VALUES = {
    "str": "x",
    "int": 3,
    "int | None": 3,
    "float": 1.5,
    "bool": True,
    "dict[str, str]": {"a.b": "a_b"},
    "tuple[str, ...]": ("backend",),
    "Finding": Finding("i", Level.OK, "m"),
}


def example(kind):
    return kind(*("validate.health" if name == "part" else VALUES[of] for name, of in kind.__annotations__.items()))


def test_every_step_has_a_line_or_is_silent_on_purpose_and_has_an_id_of_its_own():
    steps = [example(kind) for kind in get_args(of.Step)]
    assert all(isinstance(narrate(step), str) for step in steps)
    assert len({step.id for step in steps}) == len(steps)


@pytest.mark.parametrize(
    ("step", "name", "line"),
    [
        (of.StoppingServices("rollback", configured=False), "rollback.stop.none", "🛑 Stopping backend... skipped: no command is configured ([services] stop)"),
        (of.StartingServices(configured=True), "restore.start", "🚀 Starting backend..."),
        (of.DatabaseProven(2, 7, content=False), "restore.proven", "⚠️ Counted: 2 tables, 7 rows, as in the backup; it has no checksums to prove their content by"),
        (of.MediaProven(2, 2048, content=True), "restore.proven.media", "✅ Proven: 2 files, 2.0K, all as they were saved"),
        (
            of.MediaProven(9, 2048, content=True, unread=7),
            "restore.proven.media",
            ("✅ Proven: 2 of 9 files (2.0K), as they were saved\n"
            "   7 are links to live files, unchanged since by size, times and inode, and not read"),
        ),
        (of.Swapping("", "media"), "restore.swap", "🔁 Putting the media in place..."),
        (of.DjangoLoaded(5), "django.restore.loaded", "   Pass 1: Saved 5 objects. 0 remaining.\n   Database restored successfully"),
        (of.AwaitingLock("busy", 90.0), "lock.waiting", "⏳ busy; waiting 90 s at most"),
    ],
)  # fmt: skip
def test_the_line_of_a_step(step, name, line):
    assert (step.id, narrate(step)) == (name, line)


def test_a_dry_run_of_manage_py_would_restore():
    assert narrate_django(of.DjangoMedia(), dry_run=True) == "Would restore media files..."
    assert narrate_django(of.DjangoMedia()) == "Restoring media files..."


def read(line):
    """Return the step that a line of manage.py holds."""
    message = decode(line)
    assert isinstance(message, StepMessage)
    return step_of(message)


SENT = [kind for kind in get_args(of.DjangoStep) if "restore" in str(kind.__struct_config__.tag)]


@pytest.mark.parametrize("kind", SENT)
def test_a_step_of_manage_py_reaches_the_host_as_it_was_sent(kind):
    assert read(encode(message_of(example(kind))).encode()) == example(kind)


def test_the_messages_of_earlier_versions_are_read():
    loading = b'\x1f{"type":"told","id":"restore.load","facts":{"objects":"12"}}'
    assert read(loading) == of.DjangoLoading(12)
    assert encode(message_of(of.DjangoLoading(12))).encode() == loading
    assert step_of(StepMessage("restore.tables", {"auth.User": "auth_user"})) == of.DjangoTables(
        {"auth.User": "auth_user"}
    )
    assert step_of(StepMessage("restore.database")) == of.DjangoDatabase("")


def test_a_step_of_a_later_version_has_its_name_and_no_line():
    step = step_of(StepMessage("restore.polished", {"by": "hand"}))
    assert (step.id, narrate(step)) == ("django.restore.polished", "")
    assert msgspec.json.encode(message_of(step))
