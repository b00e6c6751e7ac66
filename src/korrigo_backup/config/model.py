"""The whole configuration of a site, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, field

from korrigo_backup.config.notify import (
    NotifySection,
)
from korrigo_backup.config.site import (
    BackupSection,
    ComposeSection,
    DatabaseSection,
    DjangoSection,
    ErasureSection,
    MediaSection,
    RescueSection,
    RestoreSection,
    ServicesSection,
    SiteSection,
    StagingSection,
    ValidateSection,
)
from korrigo_backup.config.targets import TargetSection
from korrigo_backup.config.unattended import (
    ContactsSection,
    KitSection,
    NightlySection,
    ReportSection,
    RequestsSection,
    RetentionSection,
    ScheduleSection,
    StatusSection,
)
from korrigo_backup.config.values import Section, encoded

TargetName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}\Z")]

NAMED_SECTIONS: Mapping[str, type[Section]] = {"targets": TargetSection}
"""The sections of which there are as many as names: `[targets.NAME]`."""


class Configuration(Section, frozen=True):
    """The whole configuration of a site."""

    named: ClassVar[Mapping[str, type[Section]]] = NAMED_SECTIONS

    site: SiteSection = SiteSection()
    database: DatabaseSection = DatabaseSection()
    staging: StagingSection = StagingSection()
    media: MediaSection = MediaSection()
    backup: BackupSection = BackupSection()
    services: ServicesSection = ServicesSection()
    restore: RestoreSection = RestoreSection()
    rescue: RescueSection = RescueSection()
    erasure: ErasureSection = ErasureSection()
    validate: ValidateSection = ValidateSection()
    django: DjangoSection = DjangoSection()
    compose: ComposeSection = ComposeSection()
    retention: RetentionSection = RetentionSection()
    nightly: NightlySection = NightlySection()
    notify: NotifySection = NotifySection()
    status: StatusSection = StatusSection()
    report: ReportSection = ReportSection()
    requests: RequestsSection = RequestsSection()
    contacts: ContactsSection = ContactsSection()
    kit: KitSection = KitSection()
    schedule: ScheduleSection = ScheduleSection()
    targets: dict[TargetName, TargetSection] = field(default_factory=dict)

    @property
    def composed(self) -> bool:
        """Whether the site is reached through Docker Compose (contract C3: directly where POSTGRES_HOST is set)."""
        return self.database.host is None or self.site.access == "compose"


SECTIONS: Mapping[str, type[Section]] = {
    name: type(default)
    for name, default in zip(Configuration.__struct_fields__, Configuration.__struct_defaults__, strict=True)
    if name not in NAMED_SECTIONS
}
"""The sections by name."""


def defaults() -> dict[str, dict[str, object]]:
    """Return the default values by section and key, as a file would hold them: texts, numbers, lists, tables."""
    return msgspec.json.decode(
        msgspec.json.encode(Configuration(), enc_hook=encoded), type=dict[str, dict[str, object]]
    )
