"""`korrigo-backup explain`: what an error or a finding means, why it happens, and the next command."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, in_language, say_data, say_json
from korrigo_backup.cli.program.standard_input import read_bytes
from korrigo_backup.config.model import Configuration
from korrigo_backup.core.language import Language
from korrigo_backup.errors import KorrigoBackupError, NotFound, UsageError
from korrigo_backup.explain.explanations import exit_id, find, group, load, nearest, recognised
from korrigo_backup.run import failures, journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.system.installed import program_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from korrigo_backup.config.site import ComposeSection
    from korrigo_backup.explain.explanations import Explanation
    from korrigo_backup.run.failures import FailedCommand
    from korrigo_backup.run.record import Record

_LARGEST = 1024 * 1024
"""Characters read from the standard input."""

_LABELS = {
    Language.ENGLISH: ("symptom:", "cause:", "next:", "last error:", "nothing: it is as it should be"),
    Language.FRENCH: ("symptôme :", "cause :", "ensuite :", "dernière erreur :", "rien : tout est comme il faut"),
}

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts whose server is on this machine, where root may become its superuser without a password."""

_ENDED_BADLY = frozenset({Outcome.FAILED, Outcome.PARTLY, Outcome.INTERRUPTED, Outcome.BEGUN})


def command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="An id, an exit code, words of an error; -: the standard input."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Explain the last error here or in the journal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Explain an error, a finding or an exit code: symptom, cause, next command. Without ID the list of all."""
    known, chosen = load(), CommandContext.language
    wired = context.ensure_object(CommandContext)
    if name is not None and last:
        raise UsageError("an id and --last exclude each other", hint="korrigo-backup explain --help")
    if last:
        record, failure = _last(wired)
        found = _of_failure(failure, known) if failure else _of_run(record, known) if record else []
        if not as_json:
            error = _failed(failure) if failure else _run(record) if record else ""
            say_data(f"{_LABELS[chosen][3]} {in_language(error)}\n")
    elif name is None or (one_group := group(name, known)):
        _say_list(known if name is None else one_group, chosen, as_json=as_json)
        return
    else:
        found = _found(name, known)
    values = _values(wired)
    if as_json:
        say_json("explain", {"language": chosen, "explanations": [_document(one, chosen, values) for one in found]})
        return
    say_data("\n\n".join(_text(one, chosen, values) for one in found))


def _found(name: str, known: Mapping[str, Explanation]) -> list[Explanation]:
    if name == "-":
        text = read_bytes(_LARGEST).decode(errors="replace")
        if found := recognised(text, known):
            return found
        raise NotFound(
            "no error in this text is known",
            hint="paste the lines from error: to state:, or send a report: korrigo-backup diagnose --archive FILE",
            id_="",
        )
    if found := find(name, known):
        return found
    near = ", ".join(nearest(name, list(known)))
    hint = f"did you mean {near}?" if near else "korrigo-backup explain lists all"
    raise NotFound(f"{name!r} is no known id, exit code or error", hint=hint, id_="")


def _last(context: CommandContext) -> tuple[Record | None, FailedCommand | None]:
    """Return the last error of the journal, or the last failure in this directory, the later of both.

    Of a failure that the journal has, too, its record. Raises NotFound without any; the error of the configuration if
    that is wrong and no failure is known.
    """
    failure = failures.last(os.environ, Path.cwd())
    try:
        records = journal.read(directory := context.wired(quiet=True).catalog.directory)
    except KorrigoBackupError:
        if failure is None:
            raise
        return None, failure
    record = next((one for one in reversed(records) if one.outcome in _ENDED_BADLY), None)
    if record is None and failure is None:
        raise NotFound(
            f"the journal in {directory} holds no error, and no command has failed here",
            hint="paste the error: korrigo-backup explain -",
            id_="",
        )
    if record is None or failure is None:
        return record, failure
    is_recorded = (record.exit_code, record.message) == (failure.code, failure.message)
    return (record, None) if is_recorded or record.started > failure.at else (None, failure)


def _of_run(record: Record, known: Mapping[str, Explanation]) -> list[Explanation]:
    id_ = "run.killed" if record.outcome is Outcome.BEGUN else exit_id(record.exit_code or 1)
    return [known[record.error] if record.error and record.error in known else known[id_]]


def _of_failure(failure: FailedCommand, known: Mapping[str, Explanation]) -> list[Explanation]:
    return [known.get(failure.id) or known[exit_id(failure.code)]]


def _failed(failure: FailedCommand) -> str:
    return (
        f"{failure.at:%Y-%m-%dT%H:%M:%SZ} {failure.verb} failed (exit {failure.code}): {failure.message}"
        f"\nhint: {failure.hint}"
    )


def _run(record: Record) -> str:
    code = "" if record.exit_code is None else f" (exit {record.exit_code})"
    text = f": {record.message}" if record.message else ""
    return f"{record.started:%Y-%m-%dT%H:%M:%SZ} {record.verb} {record.subject} {record.outcome}{code}{text}"


def _text(one: Explanation, chosen: Language, values: Mapping[str, str]) -> str:
    symptom, cause, next_, _, nothing = _LABELS[chosen]
    lines = [one.id, f"  {symptom} {one.symptom[chosen]}", f"  {cause} {one.cause[chosen]}"]
    commands, advice = one.commands(values), one.advice.get(chosen)
    lines.append(f"  {next_} {advice or ('' if commands else nothing)}".rstrip())
    return "\n".join([*lines, *(f"    {line}" for line in commands)])


def _document(one: Explanation, chosen: Language, values: Mapping[str, str]) -> dict[str, object]:
    return {
        "id": one.id,
        "symptom": one.symptom[chosen],
        "cause": one.cause[chosen],
        "advice": one.advice.get(chosen, ""),
        "next": one.commands(values),
    }


def _say_list(known: Mapping[str, Explanation], chosen: Language, *, as_json: bool) -> None:
    if as_json:
        say_json("explain-list", {"ids": [{"id": one.id, "symptom": one.symptom[chosen]} for one in known.values()]})
        return
    for area in dict.fromkeys(id_.partition(".")[0] for id_ in known):
        say_data(f"{area}:")
        for one in _of_group(known.values(), area):
            say_data(f"  {one.id:<28} {one.symptom[chosen]}")


def _of_group(known: Iterable[Explanation], area: str) -> Sequence[Explanation]:
    return sorted((one for one in known if one.id.startswith(f"{area}.")), key=lambda one: one.id)


def _values(context: CommandContext) -> dict[str, str]:
    """Return the names of the site for the commands; the runbook's if its configuration cannot be read."""
    try:
        config, directory = (wired := context.wired(quiet=True)).config, str(wired.catalog.directory)
    except KorrigoBackupError:
        config = Configuration()
        directory = str(config.backup.dir)
    compose, database = config.compose, config.database
    media = compose.media if config.composed else str(config.media.root or "MEDIA_ROOT")
    values = {
        "db": compose.db,
        "backend": compose.backend,
        "database": database.name,
        "user": database.user,
        "backups": shlex.quote(directory),
        "media": shlex.quote(media),
        "program": program_source(),
        "at": f"-h {database.host} -p {database.port}",
    }
    if database.host in _HERE:
        values["superuser"] = f"sudo -u postgres psql -p {database.port}"
    return values | ({"compose": _compose(compose)} if config.composed else {})


def _compose(section: ComposeSection) -> str:
    words = ["docker", "compose"]
    for file in section.files:
        words += ["-f", str(file)]
    words += ["-p", section.project] if section.project else []
    words += ["--env-file", str(section.env_file)] if section.env_file else []
    return shlex.join(words)
