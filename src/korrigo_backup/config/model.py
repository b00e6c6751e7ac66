"""The whole configuration of a site, section by section."""

from __future__ import annotations

import warnings

from korrigo_backup.config.notify import (
    NotifySection,
)
from korrigo_backup.config.site import (
    BackupSection,
    ComposeSection,
    DatabaseSection,
    DjangoSection,
    MediaSection,
    RestoreSection,
    ServicesSection,
    SiteSection,
    ValidateSection,
)
from korrigo_backup.config.unattended import (
    ContactsSection,
    KitSection,
    NightlySection,
    RetentionSection,
    ScheduleSection,
    StatusSection,
)
from korrigo_backup.config.values import Section

with warnings.catch_warnings():  # a field `validate` shadows a method of pydantic's former version, which we do not use
    warnings.filterwarnings("ignore", message='Field name "validate"')

    class Configuration(Section):
        """The whole configuration of a site."""

        site: SiteSection = SiteSection()
        database: DatabaseSection = DatabaseSection()
        media: MediaSection = MediaSection()
        backup: BackupSection = BackupSection()
        services: ServicesSection = ServicesSection()
        restore: RestoreSection = RestoreSection()
        validate: ValidateSection = ValidateSection()  # type: ignore[assignment]
        django: DjangoSection = DjangoSection()
        compose: ComposeSection = ComposeSection()
        retention: RetentionSection = RetentionSection()
        nightly: NightlySection = NightlySection()
        notify: NotifySection = NotifySection()
        status: StatusSection = StatusSection()
        contacts: ContactsSection = ContactsSection()
        kit: KitSection = KitSection()
        schedule: ScheduleSection = ScheduleSection()

        @property
        def composed(self) -> bool:
            """Whether the site is reached through Docker Compose (contract C3: directly where POSTGRES_HOST is set)."""
            return self.database.host is None or self.site.access == "compose"
