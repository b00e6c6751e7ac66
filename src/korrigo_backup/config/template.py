"""A configuration file as text: every section and key of the model with its default, those that are set uncommented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from korrigo_backup.config.load import DOTENV, OWN_DOTENV, OWN_PREFIX
from korrigo_backup.config.model import NAMED_SECTIONS, SECTIONS
from korrigo_backup.core.secret import Secret
from korrigo_backup.core.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.config.values import Section

_HEAD = """\
# The configuration of korrigo-backup. A line that begins with # shows the default; take the # away to change it.
# "" leaves a setting unset.
# The environment wins over korrigo-backup.env, that over .env, .env over this file. Secrets stand in one of these two.
"""
_SORTS: dict[type, str] = {str: "text", Path: "a path", int: "a number", float: "a number", bool: "true or false"}
_VARIABLE = {place: name for name, place in VARIABLES.items()}


def render(values: Mapping[str, Mapping[str, object]]) -> str:
    """Return a TOML file in which `values`, by section and key, are set and all other keys are comments.

    Sections and keys come from the model, so that the file cannot differ from the program.
    """
    lines = [_HEAD]
    for section, model in SECTIONS.items():
        lines += [*_comment(model.__doc__ or ""), f"[{section}]", *_keys(section, model, values.get(section, {})), ""]
    for section, model in NAMED_SECTIONS.items():
        keys = [f"# {line}" for line in _keys(section, model, {})]  # without a name none of them may be set
        lines += [*_comment(model.__doc__ or ""), f"# [{section}.name]", *keys, ""]
    return "\n".join(lines)


def _keys(section: str, model: type[Section], values: Mapping[str, object]) -> Iterator[str]:
    defaults, types = model(), get_type_hints(model, include_extras=True)
    for key in model.__struct_fields__:
        variable = _VARIABLE.get((section, key))
        note = f"    # or {variable}" if variable else ""
        if key in values:
            yield f"{key} = {written(values[key])}{note}"
        elif Secret in (types[key], *get_args(types[key])):
            place = OWN_DOTENV if variable and variable.startswith(OWN_PREFIX) else DOTENV
            yield f"# {key}: in {place}{f', {variable}' if variable else ''}"
        else:
            default = getattr(defaults, key)
            if default is None:
                yield f'# {key} = ""    # {_described(types[key])}{f", or {variable}" if variable else ""}'
            else:
                yield f"# {key} = {written(default)}{note}"


def _described(hint: object) -> str:
    """Return the sort of value that a key without a default takes: "" leaves it unset."""
    for kind in (one for one in _leaves(hint) if one is not type(None)):
        if isinstance(kind, str):
            choices = [one for one in _leaves(hint) if isinstance(one, str)]
            return f"{'one of ' if choices[1:] else ''}{', '.join(choices)}"
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return "a table, for example { days = 30 }"
        if isinstance(kind, type):
            return _SORTS[kind]
    return "text"


def _leaves(hint: object) -> Iterator[object]:
    """Yield the types and the fixed choices of a key's type, without limits and unions."""
    if get_origin(hint) is Annotated:
        yield from _leaves(get_args(hint)[0])
    elif inner := get_args(hint):
        for one in inner:
            yield from _leaves(one)
    else:
        yield hint


def written(value: Any) -> str:
    """Return a value as TOML: a string, number, truth value, path, or a list or table of such."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, msgspec.Struct):
        return written({key: one for key, one in msgspec.structs.asdict(value).items() if one is not None})
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(str(key))} = {written(one)}' for key, one in value.items())}}}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(written(one) for one in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(docstring: str) -> Iterable[str]:
    """Return the first paragraph of a docstring as comment lines."""
    paragraph = docstring.strip().split("\n\n")[0]
    return [f"# {line.strip()}" for line in paragraph.splitlines()]
