"""Rules of an anonymised copy, values of faker and placeholders, without a database."""

import zlib

import msgspec
import pytest

from korrigo_backup.anonymise.columns import CopyColumn, CopyTable, assign
from korrigo_backup.anonymise.found_values import ColumnValues, candidates
from korrigo_backup.anonymise.placeholders import placeholder
from korrigo_backup.anonymise.rules import Act, ColumnRule, FileAct, parse_rule, plain_table, read_rules, rules_of
from korrigo_backup.anonymise.scrubbers import DeclaredScrubber, DeclaredScrubbers, translated
from korrigo_backup.anonymise.suggest import FoundRules, SiteFields, declared_reasons, named_rules, suggested
from korrigo_backup.anonymise.values import ValueLimits, open_fakes, suffixed
from korrigo_backup.errors import Refused, UsageError


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("faker:email", ColumnRule(Act.FAKER, "email")),
        ("null", ColumnRule(Act.NULL)),
        ("constant:a:b", ColumnRule(Act.CONSTANT, "a:b")),
        ("constant:", ColumnRule(Act.CONSTANT, "")),
        ("files:rename", ColumnRule(Act.FILES, "rename")),
    ],
)
def test_a_rule_is_read_and_written(text, rule):
    assert parse_rule(text, "t.c") == rule
    assert rule.text == text


@pytest.mark.parametrize("text", ["", "faker", "faker:", "faker:a b", "null:x", "files:keep", "files:", "hash:md5"])
def test_another_text_is_no_rule(text):
    with pytest.raises(UsageError, match=r"t\.c"):
        parse_rule(text, "t.c")


def test_a_model_is_its_table():
    assert plain_table("exams.Student") == "exams_student"
    assert plain_table("other.student") == "other.student"
    assert plain_table("student") == "student"


def test_the_rules_of_a_file_win_over_those_of_the_models():
    file = read_rules(b'other_files = "remove"\n[tables."exams.Student"]\nemail = "null"', "r.toml")
    found = rules_of(file, {"exams_student": {"email": "hash", "first_name": "hash"}}, locale="fr_FR")
    assert found.columns["exams_student"] == {"email": ColumnRule(Act.NULL), "first_name": ColumnRule(Act.HASH)}
    assert (found.locale, found.other_files) == ("fr_FR", FileAct.REMOVE)


def test_equal_values_get_equal_ones_within_a_run_and_others_in_the_next():
    fakes, other = open_fakes(["email"], "en_US"), open_fakes(["email"], "en_US")
    limits = ValueLimits(unique=True, length=40)
    made = [fakes.value("email", f"a{n}@x.org", limits) for n in range(500)]
    assert made == [fakes.value("email", f"a{n}@x.org", limits) for n in range(500)]
    assert len(set(made)) == 500
    assert max(map(len, made)) <= 40
    assert all(one.count("@") == 1 for one in made)
    assert made != [other.value("email", f"a{n}@x.org", limits) for n in range(500)]


@pytest.mark.parametrize("value", ["a.b@example.org", "Anna Smith", "anna", "0123", "x"])
@pytest.mark.parametrize("length", [None, 30, 12])
def test_a_suffix_keeps_the_form_of_a_value(value, length):
    made = suffixed(value, bytes(range(8)), length)
    assert len(made) <= (length or 99)
    assert made.endswith("@example.org") or "@" not in value or length == 12
    assert made.isdigit() or not value.isdigit()


def test_placeholders_are_of_the_kind_of_the_name():
    pdf = placeholder("a/B.PDF")
    assert pdf.startswith(b"%PDF-")
    assert pdf[int(pdf.split(b"startxref\n")[1].split()[0]) :].startswith(b"xref")
    png = placeholder("x.png")
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33])
    assert placeholder("x.docx") == b""


def test_scrubbers_become_rules_and_others_are_named():
    declared = DeclaredScrubbers(
        (
            DeclaredScrubber("t", "a", "Faker", "email"),
            DeclaredScrubber("t", "b", "Null"),
            DeclaredScrubber("t", "c", "text", "x"),
            DeclaredScrubber("t", "d", "Concat", plain=False),
        ),
        (),
    )
    with pytest.raises(UsageError, match=r"t\.d \(Concat\)"):
        translated(declared)
    with pytest.raises(UsageError) as caught:
        translated(declared)
    assert "suggest > rules.toml" in caught.value.hint
    assert translated(declared, {("t", "d")}) == {"t": {"a": "faker:email", "b": "null", "c": "constant:x"}}


def table_with(name, length):
    kind = f"character varying({length})"
    column = CopyColumn(
        name, kind, "varchar", "S", required=True, generated=False, unique=False, key=False, length=length
    )
    return CopyTable("public", "device", "r", partition=False, populated=True, columns=(column,))


def test_a_column_too_short_for_a_hash_is_refused_so_that_no_hash_of_another_becomes_short():
    rules = rules_of(read_rules(b'[tables.device]\ntoken = "hash"', "r.toml"))
    assert assign(rules, (table_with("token", 16),)).ruled
    with pytest.raises(Refused, match=r"device\.token takes 15 characters"):
        assign(rules, (table_with("token", 15),))


@pytest.mark.parametrize(
    ("scrubber", "rule"),
    [
        (DeclaredScrubber("device", "token", "Concat", plain=False, near="faker:email"), "faker:email"),
        (
            DeclaredScrubber("device", "token", "Faker", "past_date", plain=False, near="faker:past_date"),
            "faker:past_date",
        ),
        (DeclaredScrubber("device", "token", "Keep"), "keep"),
        (DeclaredScrubber("device", "token", "function site.hide", plain=False), "hash"),  # by its name
        (DeclaredScrubber("device", "token", "Null"), "hash"),  # a column that is NOT NULL
    ],
)
def test_a_suggested_rule_is_that_of_the_site_or_the_nearest(scrubber, rule):
    table, fields = table_with("token", 40), SiteFields(declared={("device", "token"): scrubber})
    found = FoundRules(named_rules((table,), fields), declared_reasons((table,), fields))
    line = next(line for line in suggested((table,), found, "en_US").splitlines() if "token" in line)
    assert line.startswith(f'token = "{rule}"')
    assert (f"in place of the scrubber {scrubber.kind}" in line) == (not scrubber.rule)


@pytest.mark.parametrize(("length", "rule"), [(40, "hash"), (8, "empty")])
def test_a_suggested_rule_fits_the_length_of_its_column(length, rule):
    assert f'token = "{rule}"' in suggested(
        (table := table_with("token", length),), FoundRules(named_rules((table,))), "en_US"
    )


def test_the_hint_of_an_unknown_provider_names_only_near_ones():
    with pytest.raises(UsageError) as caught:
        open_fakes(["nope"], "en_US")
    assert "write" not in caught.value.hint
    with pytest.raises(UsageError) as caught:
        open_fakes(["emial"], "en_US")
    assert "email" in caught.value.hint


def seen(rows, values, originals=0, addresses=0, codes=0):
    return ColumnValues(rows, values, originals, addresses, codes)


@pytest.mark.parametrize(
    ("values", "is_code_list"),
    [
        (seen(41, 3, originals=1, codes=3), True),
        (seen(41, 3, originals=2, codes=3), False),  # mostly names of persons
        (seen(6, 3, originals=1, codes=3), False),
        (seen(900, 40, originals=1, codes=40), False),
        (seen(900, 3, originals=1, codes=2), False),  # sentences among them
    ],
)
def test_a_column_of_few_codes_is_known_by_its_values(values, is_code_list):
    assert values.is_code_list is is_code_list


@pytest.mark.parametrize(
    ("values", "length", "rule"),
    [
        (seen(50, 50, originals=50, addresses=50), 60, "faker:email"),
        (seen(50, 50, originals=40), 60, "faker:last_name"),  # as the column that it repeats
        (seen(50, 50, originals=1), None, "faker:sentence"),
        (seen(50, 50, originals=1), 12, "faker:word"),
        (None, None, "empty"),
    ],
)
def test_the_rule_of_a_column_with_values_of_another_fits_its_values(values, length, rule):
    (column,) = table_with("other", length or 10).columns
    column = msgspec.structs.replace(column, length=length)
    assert next(candidates(column, "faker:last_name", values)) == rule
