"""The path of a media file as a person types it."""

import pytest

from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.history.files import relative


@pytest.mark.parametrize("named", ["copies/1.pdf", "./copies/1.pdf", "/srv/media/copies/1.pdf", "copies//1.pdf"])
def test_a_path_is_below_the_media_root(named):
    assert relative(named, "/srv/media") == "copies/1.pdf"


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../1.pdf", "copies/../../1.pdf", "", "/srv/media", "/srv/media2/1.pdf"]
)
def test_another_path_is_refused(named):
    with pytest.raises(UsageError):
        relative(named, "/srv/media")
