"""Build the retention policy from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from korrigo_backup.config.unattended import NEVER
from korrigo_backup.retention.policy import Policy, Rule, thinned

if TYPE_CHECKING:
    from korrigo_backup.config.model import Configuration
    from korrigo_backup.config.unattended import RuleSection


def retention_policy(config: Configuration) -> Policy:
    """Return the policy; while points are saved, a section that is not set thins its backups."""
    sections = config.retention
    days, points = config.backup.retention_days, config.schedule.points != NEVER
    return Policy(
        database=rule(sections.database, thinned(days) if points else Rule(days=days)),
        media=rule(sections.media, thinned(days) if points else Policy.media),
        complete=rule(sections.complete, thinned(days) if points else Policy.complete),
        safety=rule(sections.safety, Policy.safety),
        kept=rule(sections.kept, Policy.kept),
        max_age=sections.max_age,
    )


def rule(section: RuleSection | None, default: Rule) -> Rule:
    """Return the rule of a section, `default` without one."""
    return Rule(**structs.asdict(section)) if section else default
