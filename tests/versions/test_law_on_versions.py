"""The law of `tests/law`, on PostgreSQL 13 to 18."""

import pytest
from binaries import SERVERS
from hypothesis import given
from hypothesis import strategies as st
from states import ADMIN_KINDS, ENCODINGS, OWNER_KINDS, databases
from trees import trees

from law import bounded, hold

pytestmark = pytest.mark.versions


OWNERS = st.fixed_dictionaries({"superuser": st.just(value=False), "states": databases(OWNER_KINDS)})
ADMINS = st.fixed_dictionaries({
    "superuser": st.just(value=True),
    "states": databases([*OWNER_KINDS, *ADMIN_KINDS], least=8),
})  # fmt: skip
"""Whether the role of the site is a superuser, and states that it can read whole."""


@pytest.mark.promise("P9")
@bounded
@given(
    major=st.sampled_from(sorted(SERVERS)),
    case=OWNERS | ADMINS,
    tree=trees(),
    options=st.sampled_from(ENCODINGS),
)
def test_what_any_version_saves_comes_back(empty_site_on, major, case, tree, options):
    hold(empty_site_on(major), case["states"], tree, superuser=case["superuser"], options=options)
