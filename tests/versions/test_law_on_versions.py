"""The law of `tests/law`, on PostgreSQL 13 to 18."""

import pytest

from law.law import bounded, hold
from law.states import BY_ADMINS, BY_OWNERS, ENCODINGS
from law.trees import trees
from property_testing import given, st
from versions.binaries import SERVERS

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
