"""A backup that was announced as made restores, for generated states of database and media.

`make test` runs a few states, always the same ones. KORRIGO_TEST_LAW=200 runs as many others.
"""

import itertools

import pytest

from law.law import bounded, hold
from law.states import ADMIN_KINDS, ENCODINGS, OWNER_KINDS, databases
from law.trees import trees
from property_testing import given, st

_numbers = itertools.count(1)


@pytest.mark.promise("P9")
@bounded
@given(states=databases(OWNER_KINDS), tree=trees(), options=st.sampled_from(ENCODINGS))
def test_what_an_owner_saves_comes_back(make_site, states, tree, options):
    hold(make_site(name=f"law {next(_numbers)}", schema=""), states, tree, superuser=False, options=options)


@pytest.mark.promise("P9")
@bounded
@given(states=databases([*OWNER_KINDS, *ADMIN_KINDS], least=8), tree=trees(), options=st.sampled_from(ENCODINGS))
def test_what_a_superuser_saves_comes_back(make_site, states, tree, options):
    hold(make_site(name=f"law {next(_numbers)}", schema=""), states, tree, superuser=True, options=options)
