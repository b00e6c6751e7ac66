"""The French output of the verbs that bring data back holds no English words between French ones.

English words are those that texts of the catalogue have and no translation has; names of the site are left out.
"""

import re

import pytest
from messages.update import catalogue_of

from rescue_days import EXAMS

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{\w+\}")
WORD = re.compile(r"(?<![\w./:=@-])[A-Za-z][a-z]+(?![\w/:@=-]|\.\w)")
COMMAND = re.compile(r"korrigo-backup .*|`[^`]*`|«[^»]*»|'[^' ]*'")
NAMES = frozenset({"exam", "name", "held", "facts", "points", "twice", "serial", "oops", "nope", "newer"})


def words(text):
    return {word.lower() for word in WORD.findall(PLACEHOLDER.sub(" ", text))}


def english_words():
    """The words that stand in texts and in no translation."""
    translated = {text: french for text, french in catalogue_of("fr").items() if text != french}
    kept = {text for text, french in catalogue_of("fr").items() if text == french}
    english = set().union(*map(words, translated))
    return english - set().union(*map(words, [*translated.values(), *kept])) - NAMES


ENGLISH = english_words()


def mixed_lines(output):
    """The lines with English words, and these words."""
    found = {line: words(COMMAND.sub(" ", line)) & ENGLISH for line in output.splitlines()}
    return {line: sorted(left) for line, left in found.items() if left}


@pytest.fixture
def school(make_site):
    made = make_site(schema=EXAMS)
    made.made = made.backup()
    made.backup_media()
    return made


def french(site, *arguments):
    done = site.korrigo("--lang", "fr", *arguments, code=tuple(range(12)))
    assert done.output.strip()
    return done.output


ACCIDENT = "DELETE FROM exam WHERE id IN (1, 2); UPDATE exam SET name = 'oops ' || id WHERE id > 10"

VERBS = (
    "rescue --only-data",
    "rescue exam",
    "rescue exam:1",
    "rescue exam:99",
    "history exam:1",
    "history exam:11",
    "history --table exam",
    "history --table exam --changed",
    "history nope:1",
    "history exan:1",
    "undelete exam:1 --dry-run",
    "undelete --table exam --where nope=1",
    "undelete --table exam --since 2020-01-01 --until 2019-01-01",
    "undelete exam:3 --yes",
    "undelete exam:1 --yes",
    "rollback --dry-run",
    "rollback --yes",
    "revert --table exam --from latest --dry-run",
    "revert --table exam --column nope --from latest",
    "revert --table exam --column id --from latest",
    "revert --table exam --from latest --yes",
    "revert --table exam --from latest --yes",
    "rollback --yes",
    "restore --table exam --exact --dry-run latest",
    "restore --table exam --exact --yes latest",
    "rollback --yes",
    "restore --file * --dry-run",
    "restore --file * --overwrite --yes",
    "rollback --yes",
    "restore --file [ --yes",
    "restore --file a --table b latest",
    "restore --exact latest",
    "forget exam:1 --reason x",
    "forget exam:1 --reason x",
    "forget --list",
    "undelete exam:1 --yes",
    "requests list",
    "drill --keep",
)


def test_no_verb_mixes_english_into_its_french(school):
    school.sql(ACCIDENT + "; INSERT INTO exam (name) VALUES ('newer')")
    changed, missing, *_ = sorted(path for path in school.media.rglob("*") if path.is_file())
    changed.write_bytes(b"x")
    missing.unlink()
    mixed = {verb: found for verb in VERBS if (found := mixed_lines(french(school, *verb.split())))}
    assert mixed == {}


def test_a_line_with_english_between_french_is_found():
    assert mixed_lines("public.exam : 2 asked for\nétat : rien n'a été changé") == {
        "public.exam : 2 asked for": ["asked"]
    }
