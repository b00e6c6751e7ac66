"""Rules for the reference site: those suggested for it, and those that its models declare as django-scrubber does."""

import gzip
import tomllib

DECLARED = """
SCRUBBER_GLOBAL_SCRUBBERS = {"last_name": "Nobody", "first_name": "Someone", "birth_date": None}
SCRUBBER_MAPPING = {"auth.User": "own_settings.UserScrubbers"}


class UserScrubbers:
    password = "!"
"""

UNLIKE_A_RULE = (
    DECLARED
    + """
from django.db.models import Value


class UserScrubbers:
    password = Value("!")
    email = lambda field: Value("x")
    groups = Value("a relation, no column")
    is_active = True


SCRUBBER_SERVICE_CLASS = "own.Service"
"""
)


def test_the_suggested_rules_anonymise_the_reference_site_unedited(demo, tmp_path):
    text = demo.korrigo("drill", "--anonymise", "suggest").out
    found = tomllib.loads(text)
    assert found["tables"]["auth_user"]["email"] == "faker:email"
    assert found["tables"]["exams_student"]["birth_date"] == "faker:date_of_birth"
    assert found["tables"]["exams_copy"] == {"pdf": "files:rename", "status": "keep"}
    assert found["tables"]["exams_gradingevent"]["metadata"] == "empty"  # the paths of the copies
    assert "exams_profile.role" in found["accept"]  # the user admin, and the role
    assert "django_session" in found["empty"]
    assert '# name = "keep"' in text
    demo.korrigo("backup", "full")
    path, target = demo.home / "rules.toml", tmp_path / "copy"
    path.write_text(text)
    names = [name for row in demo.sql("SELECT email, last_name FROM exams_student") for name in row]
    demo.korrigo("drill", "--anonymise", path, "--to", target)
    files = {path.relative_to(target) for path in target.rglob("*.pdf")}
    assert {str(path.parent) for path in files} == {"media/anonymised"}
    dump = gzip.decompress((target / "database.sql.gz").read_bytes()).decode()
    assert {name for name in names if name in dump} == set()


def test_the_rules_that_models_and_settings_declare_are_used(demo):
    demo.settings(DECLARED)
    demo.backup()
    left = demo.korrigo("drill", "--keep", "--anonymise", "django", code=9).err
    assert "auth_user.username" in left  # which first names are a part of
    path = demo.home / "rules.toml"
    path.write_text(
        'django = true\naccept = ["exams_profile.role"]\n[tables.auth_user]\nusername = "hash"\nemail = "hash"\n[tables."exams.Student"]\nemail = "hash"'
    )
    demo.korrigo("drill", "--keep", "--anonymise", path)
    (name,) = [one for one in demo.databases() if "_anonymised_" in one]
    assert demo.sql("SELECT DISTINCT last_name FROM exams_student", name) == [("Nobody",)]
    assert demo.sql("SELECT DISTINCT first_name, password FROM auth_user WHERE first_name <> ''", name) == [
        ("Someone", "!")
    ]
    joined = "SELECT count(*) = (SELECT count(*) FROM auth_user) FROM auth_user WHERE username ~ '^[0-9a-f]{64}$'"
    assert demo.sql(joined, name) == [(True,)]


def test_a_site_without_rules_is_told_how_to_begin(demo):
    demo.backup()
    assert "suggest" in demo.korrigo("drill", "--anonymise", "django", code=2).err


def test_a_scrubber_without_an_equal_rule_is_named_and_suggest_writes_a_rule_for_it(demo):
    demo.settings(UNLIKE_A_RULE)
    demo.backup()
    done = demo.korrigo("drill", "--anonymise", "django", code=2)
    assert "auth_user.email (function UserScrubbers.<lambda>)" in done.err
    assert "drill --anonymise suggest > rules.toml" in done.err
    text = demo.korrigo("drill", "--anonymise", "suggest").out
    assert 'email = "faker:email"  # in place of the scrubber function UserScrubbers.<lambda>' in text
    rules = tomllib.loads(text)["tables"]["auth_user"]
    assert (rules["password"], rules["is_active"]) == ("constant:!", "constant:True")
    path = demo.home / "rules.toml"
    path.write_text(text.replace("strict = false", "django = true"))
    assert "own.Service (SCRUBBER_SERVICE_CLASS) was not run" in demo.korrigo("drill", "--anonymise", path).output
