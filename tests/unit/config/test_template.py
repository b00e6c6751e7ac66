"""The configuration file that is written: whole, and what the program reads from it."""

import re
import tomllib

import pytest

from korrigo_backup.config.load import load
from korrigo_backup.config.model import SECTIONS, Configuration
from korrigo_backup.config.template import render, written
from property_testing import given, st

scalars = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**60), 2**60), st.booleans())
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text('ab ."\n', max_size=4), scalars))


@given(values)
def test_a_value_is_read_as_it_was_written(value):
    assert tomllib.loads(f"value = {written(value)}")["value"] == value


def test_every_section_and_key_is_there_and_all_is_a_comment():
    text = render({})
    assert {section: {} for section in SECTIONS} == tomllib.loads(text)
    for section, model in SECTIONS.items():
        part = text.split(f"[{section}]\n")[1].split("\n\n")[0]
        assert [line.split()[1].rstrip(":") for line in part.splitlines()] == list(model.__struct_fields__)


def test_the_default_that_is_shown_is_the_default(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(re.sub(r"^# (\w+ = \S)", r"\1", render({}), flags=re.MULTILINE))
    assert load(tmp_path, {}, path) == Configuration()
    assert len(re.findall(r"^\w+ = ", path.read_text(), re.MULTILINE)) > 20


@pytest.mark.promise("P7")
def test_no_place_is_offered_for_a_password():
    assert "# password: in .env, POSTGRES_PASSWORD" in render({})
