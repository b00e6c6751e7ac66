"""Only what ran is started: Compose starts what a service depends on as well, so that is looked at first."""

import pytest

from korrigo_backup.site.compose import Container
from korrigo_backup.site.compose_services import asleep

DEPENDS = {
    "nginx": {"backend"},
    "celery": {"backend", "redis"},
    "backend": {"db", "redis"},
    "db": set(),
    "redis": set(),
}


def present(*stopped):
    return {
        name: Container(name, name, name not in stopped, "", None, frozenset(needs), ())
        for name, needs in DEPENDS.items()
    }


@pytest.mark.contract("R8")
@pytest.mark.parametrize(
    ("services", "stopped", "found"),
    [
        (["nginx", "celery"], ("nginx", "celery", "backend"), {"backend"}),
        (["nginx", "backend"], ("nginx", "backend"), set()),
        (["nginx"], ("nginx", "redis"), {"redis"}),
        (["db"], ("db", "backend"), set()),
        (["gone"], ("db",), set()),
    ],
)
def test_what_does_not_run_and_is_depended_on_is_found(services, stopped, found):
    assert asleep(services, present(*stopped)) == found
