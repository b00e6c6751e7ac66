"""Take personal data out of text that leaves the host: uploads are named after people, rows hold their addresses.

The whole message stays on the host, for repairs. More may be taken out here than is needed, since a name can be
anything; backups, configuration and programs keep their names.
"""

from __future__ import annotations

import re

FILE = "<file>"
ADDRESS = "<address>"
VALUE = "<value>"

_END = r"(?=[\s:;,'\"»)]|\.?$)"
_PATH = re.compile(rf"[^\s:'\"]*/[^:;\n'\"]*?\.[A-Za-z][A-Za-z0-9]{{1,4}}{_END}")
"""A path from its first word with a slash to the end of its extension; names may hold blanks."""

_UPLOAD = re.compile(
    rf"[^\s:/'\"]+\.(?:pdf|png|jpe?g|gif|tiff?|bmp|webp|heic|svg|docx?|xlsx?|pptx?|od[tsp]|csv|txt|mp[34]){_END}",
    re.IGNORECASE,
)
_OURS = re.compile(
    r"(db_backup|media_backup|korrigo_backup|restore_point|pre_[a-z]+(_safety)?_backup)_|latest"
    r"|.*\.(toml|ya?ml|env|py|jsonl?|conf|service|timer|sock|sh|sha256)$"
)
"""Beginnings and endings of names that are not those of uploads."""

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_ROW = re.compile(r"\([^\n]*?\)=\([^\n]*\)|(?<=row contains )\([^\n]*\)")
_QUOTED = re.compile(r"""(?<=:[ \xa0])(?:"[^\n]*"|«[^\n]*»)|(?<=\bvalue )"[^"\n]*"(?= is)""")
"""PostgreSQL's ways to quote a value of a row: `Key (a)=(b)`, of any language, and a value in quotes behind a colon."""


def discreet(text: str) -> str:
    """Return `text` without names of uploaded files, mail addresses and values of rows."""
    text = _ROW.sub(f"({VALUE})", text)
    text = _QUOTED.sub(VALUE, text)
    text = _MAIL.sub(ADDRESS, text)
    return _UPLOAD.sub(FILE, _PATH.sub(_unless_ours, text))


def _unless_ours(found: re.Match[str]) -> str:
    return found[0] if _OURS.match(found[0].rpartition("/")[2]) else FILE
