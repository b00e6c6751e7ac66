"""The types of the values of the configuration: paths, ports, numbers; and the base class of its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def no_switch(value: object) -> object:
    """Refuse true and false where a number is wanted: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic expects a ValueError
    return value


def _place(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _at_home(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("has ~ and no such home directory") from None


def _label(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a name, without control characters")
    return value


Label = Annotated[str, AfterValidator(_label)]
"""A name that is written in manifests, tables and messages."""

Place = Annotated[Path, BeforeValidator(_place), AfterValidator(_at_home)]
"""A path; `~` is the home directory, for `.env` and TOML files, where no shell sees to it."""
Words = Annotated[tuple[str, ...], Field(min_length=1)]
Port = Annotated[int, BeforeValidator(no_switch), Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Count = Annotated[int, BeforeValidator(no_switch), Field(ge=0, le=100_000)]


class Section(BaseModel):
    """A section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
