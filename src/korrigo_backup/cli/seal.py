"""`korrigo-backup seal`: the key that opens sealed copies: made for its holder, and proven to open."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads it when the verb runs
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.fetch import private_key
from korrigo_backup.cli.output import CommandContext, say
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.errors import ProofFailed, Refused, UsageError
from korrigo_backup.system import age
from korrigo_backup.system.files import explained, read_plain, write_private

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired

_SAMPLE = b"korrigo-backup: this text is sealed, and only the private key opens it\n"
_LARGEST = 64 * 1024


def init(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option(help="Write the private key to this new file, on a medium of its holder.")
    ] = None,
) -> None:
    """Make a key, show its private part once, and ask for it.

    A key that was noted wrongly is found now. Its public key goes into [kit] recipients.
    """
    _init(context.ensure_object(CommandContext).wired(), to)


def check(
    context: typer.Context,
    identity: Annotated[str | None, typer.Option(help="A file with the private key, or - to type it.")] = None,
) -> None:
    """Prove that a private key opens what is sealed to the recipients."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    if identity is None:
        raise UsageError("seal check needs a private key", hint="korrigo-backup seal check --identity KEY")
    _check(wired, identity)


ACTIONS = Actions(
    {"init": init, "check": check},
    help="Make the key that opens sealed copies, for its holder and not for this machine; or prove that a key opens"
    " them.",
)


def _init(wired: Wired, to: Path | None) -> None:
    private, public = age.new_identity()
    if to is not None:
        _require_elsewhere(wired, to)
        with explained(f"write {to}"):
            write_private(to, f"# public key: {public}\n{private}\n".encode())
        typed = read_plain(to, _LARGEST)
        say(f"✅ The private key is in {to}: take it off this machine, and give it to its holder")
    elif sys.stdin.isatty() and sys.stdout.isatty():
        say(f"The private key, shown once and stored nowhere here:\n\n   {private}\n")
        say("Note it where you will find it when this machine is gone, then type it from there.")
        typed = private_key("-")
    else:
        raise UsageError(
            "seal init needs a terminal, or a file on a medium of the key's holder",
            hint="korrigo-backup seal init --to /media/usb/korrigo.key",
        )
    _prove(typed, public)
    add_to_document(recipients=[public], file=str(to.absolute()) if to else None)
    say("✅ It opens what is sealed to its public key. In korrigo-backup.toml:")
    say(f'\n[kit]\nrecipients = ["{public}"]')


def _check(wired: Wired, identity: str) -> None:
    config, key = wired.config, private_key(identity)
    groups = {"[kit] recipients": config.kit.recipients}
    groups |= {f"[targets.{name}] recipients": section.recipients for name, section in config.targets.items()}
    given = {name: recipients for name, recipients in groups.items() if recipients}
    if not given:
        raise UsageError("no recipient is configured", hint="korrigo-backup seal init, then [kit] recipients")
    for name, recipients in given.items():
        if age.unseal(age.seal(_SAMPLE, recipients), key, name) != _SAMPLE:
            raise ProofFailed(f"the key does not open what is sealed to {name}", hint="use the key of a recipient")
        say(f"✅ The key opens what is sealed to {name}")
    add_to_document(opens=list(given))


def _prove(private: bytes, public: str) -> None:
    try:
        opened = age.unseal(age.seal(_SAMPLE, [public]), private, "a sealed text")
    except (Refused, UsageError):
        opened = b""
    if opened != _SAMPLE:
        raise Refused(
            "the typed key does not open what is sealed to the new public key: it was noted wrongly",
            hint="nothing was configured: korrigo-backup seal init makes another key",
        )


def _require_elsewhere(wired: Wired, to: Path) -> None:
    """Raise Refused for a place that a thief of this machine's backups would have, too."""
    directory = wired.config.backup.dir.resolve()
    if to.resolve().is_relative_to(directory):
        raise Refused(
            f"{to} lies in the backup directory: whoever has the backups would have their key",
            hint="name a file on a medium that is taken off this machine",
        )
