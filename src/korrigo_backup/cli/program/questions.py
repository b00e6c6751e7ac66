"""The questions that a restore asks its operator, and the answers that were typed with the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Questions:
    """How the operator is asked: `yes` is the answer to the last question, `answers` are given for the checklist."""

    yes: bool
    answers: Mapping[str, str] = field(default_factory=dict)
