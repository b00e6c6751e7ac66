"""The configuration file that is written: whole, and what the program reads from it."""

import re
import tomllib

import pytest
from msgspec.structs import replace

from korrigo_backup.config.load import load
from korrigo_backup.config.model import SECTIONS, Configuration
from korrigo_backup.config.targets import TargetSection
from korrigo_backup.config.template import render, written
from korrigo_backup.errors import UsageError
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
    path.write_text(re.sub(r"^# (\w+ =)", r"\1", render({}), flags=re.MULTILINE))
    assert load(tmp_path, {}, path) == Configuration()
    uncommented = len(re.findall(r"^\w+ = ", path.read_text(), re.MULTILINE))
    secrets = len(re.findall(r"^# \w+: in ", path.read_text(), re.MULTILINE))
    assert uncommented + secrets == sum(len(model.__struct_fields__) for model in SECTIONS.values())


def test_an_uncommented_section_with_a_name_has_the_defaults(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(re.sub(r"^#(?: #)? (\[targets\.|\w+ =)", r"\1", render({}), flags=re.MULTILINE))
    assert load(tmp_path, {}, path) == replace(Configuration(), targets={"name": TargetSection()})


@pytest.mark.parametrize("text", ["[database]\nname = ''", "[media]\narchive_root = ''", "[backup]\ndir = ''"])
def test_an_empty_text_is_refused_where_a_value_is_needed(tmp_path, text):
    (tmp_path / "korrigo-backup.toml").write_text(text)
    with pytest.raises(UsageError):
        load(tmp_path, {})


@pytest.mark.promise("P7")
def test_no_place_is_offered_for_a_password():
    assert "# password: in .env, POSTGRES_PASSWORD" in render({})
