"""The law of `tests/law`, on PostgreSQL 13 to 18."""

import pytest
from binaries import SERVERS
from states import BY_ADMINS, BY_OWNERS, ENCODINGS
from trees import trees

from law import bounded, hold
from property_testing import given, st

pytestmark = pytest.mark.versions


@pytest.mark.promise("P9")
@bounded
@given(
    major=st.sampled_from(sorted(SERVERS)),
    case=BY_OWNERS | BY_ADMINS,
    tree=trees(),
    options=st.sampled_from(ENCODINGS),
)
def test_what_any_version_saves_comes_back(empty_site_on, major, case, tree, options):
    hold(empty_site_on(major), case["states"], tree, superuser=case["superuser"], options=options)
