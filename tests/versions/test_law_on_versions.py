"""The law of `tests/law`, on PostgreSQL 13 to 18."""

import pytest
from binaries import SERVERS
from hypothesis import given
from hypothesis import strategies as st
from states import ADMIN_KINDS, ENCODINGS, OWNER_KINDS, databases
from trees import trees

from law import bounded, hold

pytestmark = pytest.mark.versions


@pytest.mark.promise("P9")
@bounded
@given(
    major=st.sampled_from(sorted(SERVERS)),
    states=databases([*OWNER_KINDS, *ADMIN_KINDS], least=8),
    tree=trees(),
    options=st.sampled_from(ENCODINGS),
    superuser=st.booleans(),
)
def test_what_any_version_saves_comes_back(empty_site_on, major, states, tree, superuser, options):
    hold(empty_site_on(major), states, tree, superuser=superuser, options=options)
