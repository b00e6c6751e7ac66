"""The French catalogue: its placeholders, its compiled file, and each text found again by its translation."""

import pytest
from messages.extract import texts
from messages.update import LANGUAGES, LOCALE, catalogue_of, compiled, source_texts, updated

from korrigo_backup.core.language import Language
from korrigo_backup.translation.catalogue import translator
from korrigo_backup.translation.translator import split

SOURCE_TEXTS = source_texts()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_text(language):
    wrong = [
        text
        for text, translation in catalogue_of(language).items()
        if translation and set(split(text)[1]) != set(split(translation)[1])
    ]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_source_is_translated_and_no_other(language):
    """If not: make messages, translate what has no translation, make messages."""
    translated = {text for text, translation in catalogue_of(language).items() if translation}
    assert sorted(SOURCE_TEXTS ^ translated) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_one_apostrophe(language):
    assert [one for one in catalogue_of(language).values() if "\N{RIGHT SINGLE QUOTATION MARK}" in one] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_text_file(language):
    """If not: make messages."""
    path = LOCALE / language / "LC_MESSAGES" / "korrigo_backup.mo"
    assert compiled(updated(language, set(catalogue_of(language)))) == path.read_bytes()


def test_a_text_of_the_source_is_translated_with_its_values():
    french = translator(Language.FRENCH)
    assert (
        french("cannot read /backups/a b: Permission denied") == "impossible de lire /backups/a b : Permission denied"
    )


def test_the_repairs_of_an_interrupted_run_are_translated():
    french = translator(Language.FRENCH)
    assert french("🔧 dropped the unfinished database x_stage_1 (left by an interrupted run)") == (
        "🔧 base inachevée x_stage_1 supprimée (après une opération interrompue)"
    )


def test_english_is_not_translated():
    assert translator(Language.ENGLISH)("nothing was changed") == "nothing was changed"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"{step.rows} rows of {name!r}"', ["{rows} rows of {name}"]),
        ("f\"a backup {'is' if good else 'is not'} here\"", ["a backup is here", "a backup is not here"]),
        ("f\"{'more than ' * least}{left} more files\"", ["more than {left} more files", "{left} more files"]),
        ('raise Refused(f"the file {path}" " is {bad}")', ["the file {path} is {{bad}}"]),
        ('"dropped the database {of}".format(of=name)', ["dropped the database {of}"]),
        ('"{} was read to its end".format(name)', ["{value} was read to its end"]),
        ('"SELECT a FROM b"', []),
        ('"word"', []),
        ('def f():\n    """Do a thing."""', []),
        ('say("one two" + f" three {four}")', ["one two three {four}"]),
    ],
)
def test_the_texts_of_a_source_are_found(source, found):
    assert sorted(one.text for one in texts(source)) == sorted(found)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "  daily   database and media       0 3 * * *    next run 2026-11-29 03:00 (up to 300 s later)",
            "  daily   base et médias           0 3 * * *    prochaine 2026-11-29 03:00 (jusqu'à 300 s plus tard)",
        ),
        (
            "This restore: a new database is made, since there is none; the live media is replaced, and kept as /b",
            (
                "Cette restauration : rien n'est en service (base) : tout est créé ; les données en service (médias) sont"
                " remplacées, et gardées sous le nom /b"
            ),
        ),
    ],
)
def test_a_line_that_several_texts_make_is_french_as_a_whole(english, french):
    assert translator(Language.FRENCH)(english) == french
