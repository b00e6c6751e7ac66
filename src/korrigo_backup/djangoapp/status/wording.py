"""Words of the admin page in the language that Django has active, and times in the zone of the reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from django.utils import timezone
from django.utils.translation import get_language, pgettext, to_locale

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.language import Language, language
from korrigo_backup.run.record import Outcome, Verb
from korrigo_backup.translation.catalogue import translator

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.record import Record

_ARGUMENT = (
    r"--on [^\s;,)]+|--?[a-z][a-z-]*|[A-Z]{2,}|\"[^\"]*\"|[^\s;,)]*[_0-9][^\s;,)]*(?<![.:])"
    r"|(?:install|add|release|accept|latest-point|latest-media|latest|full|db|media|django)\b"
)
_COMMAND = re.compile(
    rf"(?:korrigo-backup|manage\.py) [a-z]+(?: (?:{_ARGUMENT}))*|(?:chmod|ls|df) (?:-\w+|\d{{3}})(?: /[^\s;,)]*)?"
)
"""A command in a hint: of this program with its arguments, or one of the machine's."""

_HIGH_SIGN = re.compile(r" (?=[:;?!»](?:\s|$))")
"""The space before a sign of two parts."""

_LOOKS = ("ls ", "df ")
"""Commands that only look at the machine."""

_TYPED = re.compile(r"korrigo-backup |(?:^|\s)--[a-z]|MODEL:KEY")
"""Commands, options and words of the command line."""


class Piece(NamedTuple):
    """A part of a text; `is_command` if it is to be typed."""

    text: str
    is_command: bool


class Attention(NamedTuple):
    """A finding for a person: its id, level and message, and the pieces of its hint.

    `has_command` tells whether the hint names the command that clears it.
    """

    id: str
    level: str
    message: str
    hint: list[Piece]
    has_command: bool


class Run(NamedTuple):
    """An operation of the journal. `seconds` is None for one that did not end."""

    began: datetime
    what: str
    outcome: str
    outcome_label: str
    message: str
    seconds: float | None
    by: str


def in_language(text: str) -> str:
    """Return a text of ours in the language that Django has active; in French no line ends before a colon."""
    wanted = language({"LANG": to_locale(get_language() or "C")})
    translated = translator(wanted)(text)
    return _HIGH_SIGN.sub("\N{NO-BREAK SPACE}", translated) if wanted is Language.FRENCH else translated


def local(moment: datetime) -> datetime:
    """Return a time in the zone of the reader, with any USE_TZ."""
    return moment.astimezone(timezone.get_current_timezone())


def pieces(text: str) -> list[Piece]:
    """Return a text as words and commands, in order."""
    found, end = [], 0
    for match in _COMMAND.finditer(text):
        found += [Piece(text[end : match.start()], is_command=False), Piece(match[0], is_command=True)]
        end = match.end()
    found.append(Piece(text[end:], is_command=False))
    return [piece for piece in found if piece.text]


def attention(finding: Finding) -> Attention:
    """Return a finding as the page shows it."""
    hint = pieces(in_language(finding.hint))
    has_command = any(piece.is_command and not piece.text.startswith(_LOOKS) for piece in hint)
    return Attention(finding.id, finding.level.value, in_language(finding.message), hint, has_command)


def for_person(finding: Finding) -> Attention:
    """Return a finding for a person without a shell on the host: no command stands in it."""
    hint = hint_of_request(finding.hint) if finding.hint else ""
    return Attention(
        finding.id,
        finding.level.value,
        in_language(finding.message),
        [Piece(hint, is_command=False)] if hint else [],
        has_command=True,
    )


def with_next_step(message: str, hint: str) -> str:
    """Return why something did not go, and the next step for a person without a shell."""
    return " · ".join(filter(None, (in_language(message.replace(": psql: ", ": ")), hint and hint_of_request(hint))))


def hint_of_request(text: str) -> str:
    """Return a next step for a person without a shell on the host, who can type no command and no option."""
    if _TYPED.search(text):
        return str(pgettext("korrigo_backup", "The operator of the host can help: name the request number."))
    return in_language(text)


def run(record: Record) -> Run:
    """Return a line of the journal as the page shows it."""
    return Run(
        began=local(record.started),
        what=_operation(record),
        outcome=record.outcome.value,
        outcome_label=_outcome(record.outcome),
        message=in_language(record.message),
        seconds=record.seconds,
        by=record.by,
    )


def _operation(record: Record) -> str:
    """Return an operation with its subject."""
    label = verb_label(record.verb)
    if not record.subject:
        return label
    words = {"verb": label, "subject": in_language(record.subject)}
    return str(pgettext("korrigo_backup", "%(verb)s %(subject)s") % words)


def verb_label(verb: str) -> str:
    """Return the name of an operation of the journal; that of another version stays as it is."""
    words = {
        Verb.BACKUP: pgettext("korrigo_backup", "backup"),
        Verb.NIGHTLY: pgettext("korrigo_backup", "nightly"),
        Verb.VERIFY: pgettext("korrigo_backup", "verify"),
        Verb.DRILL: pgettext("korrigo_backup", "drill"),
        Verb.INCIDENT: pgettext("korrigo_backup", "incident"),
        Verb.COMPARE: pgettext("korrigo_backup", "compare"),
        Verb.COPY: pgettext("korrigo_backup", "copy"),
        Verb.PRUNE_COPIES: pgettext("korrigo_backup", "prune copies"),
        Verb.POINT: pgettext("korrigo_backup", "point"),
        Verb.RESTORE: pgettext("korrigo_backup", "restore"),
        Verb.RESTORE_IN_PLACE: pgettext("korrigo_backup", "restore in place"),
        Verb.RESTORE_BY_DJANGO: pgettext("korrigo_backup", "restore by Django"),
        Verb.RESTORE_FILES: pgettext("korrigo_backup", "restore files"),
        Verb.ROLLBACK: pgettext("korrigo_backup", "rollback"),
        Verb.REBUILD: pgettext("korrigo_backup", "rebuild"),
        Verb.UNDELETE: pgettext("korrigo_backup", "undelete"),
        Verb.REVERT: pgettext("korrigo_backup", "revert"),
        Verb.RESTORE_TABLE: pgettext("korrigo_backup", "restore of a table"),
        Verb.FORGET: pgettext("korrigo_backup", "forget"),
        Verb.DOCTOR: pgettext("korrigo_backup", "doctor"),
        Verb.CANARY: pgettext("korrigo_backup", "canary"),
        Verb.BENCH: pgettext("korrigo_backup", "bench"),
        Verb.KIT: pgettext("korrigo_backup", "kit"),
        "prune": pgettext("korrigo_backup", "prune"),
    }
    return str(words.get(verb, verb))


def kind_label(kind: Kind) -> str:
    """Return the name of a kind."""
    return str(pgettext("korrigo_backup", KINDS[kind].label))


def origin_label(origin: Origin) -> str:
    """Return why an artifact was made, "" for a routine backup."""
    match origin:
        case Origin.ROUTINE:
            return ""
        case Origin.SAFETY:
            return str(pgettext("korrigo_backup", "before a restore"))
        case Origin.PRE_DEPLOYMENT:
            return str(pgettext("korrigo_backup", "before a deployment"))


def signature_label(artifact: Artifact) -> str:
    """Return the result of checking the signature; without a usable manifest there is none to check."""
    if artifact.header is None:
        return str(pgettext("korrigo_backup", "no manifest"))
    match artifact.authenticity:
        case Authenticity.AUTHENTIC:
            return str(pgettext("korrigo_backup", "made by this site, unchanged since"))
        case Authenticity.UNSIGNED:
            return str(pgettext("korrigo_backup", "not signed"))
        case Authenticity.UNKNOWN_KEY:
            return str(pgettext("korrigo_backup", "signed with a key that is not here"))
        case Authenticity.FORGED:
            return str(pgettext("korrigo_backup", "its manifest was altered"))


def proof_label(artifact: Artifact) -> str:
    """Return what of an artifact can be proven when it is restored, in a word; "" for nothing."""
    head = artifact.header
    if head is None or head.format == 0:
        return ""
    if head.consistency:
        return str(pgettext("korrigo_backup", "rows and files"))
    if head.rows is None:
        return str(pgettext("korrigo_backup", "files"))
    return str(pgettext("korrigo_backup", "rows") if head.digests else pgettext("korrigo_backup", "counts"))


def _outcome(outcome: Outcome) -> str:
    words = {
        Outcome.BEGUN: pgettext("korrigo_backup", "begun"),
        Outcome.DONE: pgettext("korrigo_backup", "done"),
        Outcome.PARTLY: pgettext("korrigo_backup", "done in part"),
        Outcome.CANCELLED: pgettext("korrigo_backup", "cancelled"),
        Outcome.FAILED: pgettext("korrigo_backup", "failed"),
        Outcome.INTERRUPTED: pgettext("korrigo_backup", "interrupted"),
    }
    return str(words[outcome])
