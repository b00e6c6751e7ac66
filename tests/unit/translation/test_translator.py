"""A finished text is translated by the template that it was made from."""

import pytest

from korrigo_backup.translation.translator import Translator, split

FRENCH = Translator(
    {
        "nothing was changed": "rien n'a été changé",
        "{rows} rows of {table}": "{rows} lignes de {table}",
        "{rows} rows of {table} are not in {backup}": "dans {backup} manquent {rows} lignes de {table}",
        "cannot read {path}: {problem}": "impossible de lire {path} : {problem}",
        "the disk is full": "le disque est plein",
        "{message} (and {left} more)": "{message} (et {left} autres)",
        "hint: {hint}": "conseil : {hint}",
        "a {{}} of {name}": "un {{}} de {name}",
        "; and ": " ; et ",
        "cannot {doing}: {problem}": "impossible de {doing} : {problem}",
        "write {path}": "écrire {path}",
        "table": "tableau",
        "the file: is it here": "le fichier : est-il là",
        "space": "espace disque",
    }
)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("nothing was changed", "rien n'a été changé"),
        ("12 rows of exams_exam", "12 lignes de exams_exam"),
        ("12 rows of a are not in b", "dans b manquent 12 lignes de a"),
        ("cannot read /a b/c: the disk is full", "impossible de lire /a b/c : le disque est plein"),
        ("the disk is full (and 2 more)", "le disque est plein (et 2 autres)"),
        (
            "   hint: nothing was changed\n✅ the disk is full",
            "   conseil : rien n'a été changé\n✅ le disque est plein",
        ),
        ("the disk is full; and nothing was changed", "le disque est plein ; et rien n'a été changé"),
        ("a {} of x", "un {} de x"),
        ("a table named the disk is full of it", "a table named the disk is full of it"),
        ("cannot write /x: no room", "impossible d'écrire /x : no room"),
        ("cannot edit: no room", "impossible de edit : no room"),
        ("12 rows of table", "12 lignes de table"),
        ("  space     the disk is full", "  espace disque le disque est plein"),
        ("  table     12 rows of x", "  tableau   12 lignes de x"),
        ("write /a and more", "write /a and more"),
        ("  [x] the disk is full: 12 rows of x", "  [x] le disque est plein: 12 lignes de x"),
        ("❓ the file: is it here: nothing was changed", "❓ le fichier : est-il là: rien n'a été changé"),
        ("", ""),
        ("public.exam", "public.exam"),
    ],
)
def test_a_text_is_translated_with_its_values(english, french):
    assert FRENCH(english) == french


def test_a_text_without_a_translation_stays_as_it_is():
    assert FRENCH("korrigo-backup list --json") == "korrigo-backup list --json"


def test_the_template_with_the_most_constant_characters_is_taken():
    both = Translator({"{a} of {b}": "1 {a} {b}", "{a} of the {b}": "2 {a} {b}"})
    assert both("x of the y") == "2 x y"


def test_a_template_is_split_at_its_placeholders():
    assert split("a {b} c {{d}} {e}") == (["a ", " c {d} ", ""], ("b", "e"))


def test_a_value_is_never_read_as_a_template():
    assert Translator({"of {a}, {b}": "{b} de {a}"})("of {b}, {a}") == "{a} de {b}"


JOINED = Translator(
    {
        "a person": "une personne",
        "old backups are removed: always": "les vieilles sauvegardes sont supprimées : toujours",
        "no backup is old": "aucune sauvegarde n'est vieille",
        "{version} is old": "{version} est vieux",
        "{thing} has no {part}": "{thing} n'a pas de {part}",
        "error: {message}": "erreur : {message}",
        "{part}: {needs} needed, {free} free": "{part} : {needs} nécessaires, {free} libres",
        "{part}: {needs} needed": "{part} : {needs} nécessaires",
        "room": "place",
        "database": "base",
        "tool {what}": "tool {what}",
        "a step": "une étape",
        "📥 Loading {what}": "📥 Chargement : {what}",
        ": ": " : ",
        "; ": " ; ",
    }
)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (  # a beginning without values is certain: "… is old" is not taken for the end of one long value
            "❓ a person: old backups are removed: always: no backup is old",
            "❓ une personne : les vieilles sauvegardes sont supprimées : toujours : aucune sauvegarde n'est vieille",
        ),
        ("error: the kit has no key", "erreur : the kit n'a pas de key"),
        ("room: database: 7M needed; media: 4K needed, 3G free",
         "place : base : 7M nécessaires ; media : 4K nécessaires, 3G libres"),
        ("tool a b; a step", "tool a b ; une étape"),
        ("📥 Loading a step", "📥 Chargement : une étape"),
        ("  nas       a step; a step", "  nas       une étape ; une étape"),
    ],
)  # fmt: skip
def test_texts_that_the_program_has_joined_are_taken_apart(english, french):
    assert JOINED(english) == french


def test_the_rest_of_many_joined_texts_is_translated_to_its_end():
    assert JOINED("; ".join(["a step"] * 12)) == " ; ".join(["une étape"] * 12)


AGREEING = Translator(
    {
        "{number} rows": "{number} [ligne|lignes]",
        "1 row": "1 ligne",
        "✅ {count} brought back": "✅ {count} [ramenée|ramenées]",
        "{read} read": "[lue|lues] : {read}",
        "{asked} asked for": "{asked} [demandée|demandées]",
        "{others} deleted with them": "{others} [supprimée|supprimées] avec elles",
        "{rows} of {table}": "{rows} de {table}",
        "and what was deleted with them": "et ce qui a été supprimé avec elles",
    }
)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("✅ 1 row brought back", "✅ 1 ligne ramenée"),
        ("✅ 2 rows brought back", "✅ 2 lignes ramenées"),
        ("✅ 0 rows brought back", "✅ 0 ligne ramenée"),
        ("1 read", "lue : 1"),
        ("3 read", "lues : 3"),
        ("1 asked for, 160 deleted with them", "1 demandée, 160 supprimées avec elles"),
        (
            "3 rows of public.exam, and what was deleted with them",
            "3 lignes de public.exam, et ce qui a été supprimé avec elles",
        ),
    ],
)
def test_words_agree_with_their_number(english, french):
    assert AGREEING(english) == french


ODD = Translator(
    {
        "error: {message}": "erreur : {message}",
        "{path}: not found in {place}": "{path} : introuvable dans {place}",
        "{HOW}; show lists them": "{HOW} ; show les donne",
        "write a:b": "écrivez a:b",
        "history --table {table}": "history --table {table}",
        "history --table T shows its changes": "history --table T montre ses changements",
        "now": "maintenant",
        "{at}  gone{since}: {place}": "{at}  disparu{since} : {place}",
        " since {time}": " depuis {time}",
        "{from_} to {until}  {words}": "{from_} à {until}  {words}",
        "changed, {rows} rows": "changée, {rows} lignes",
        "{name} or {name2} or {name3}": "{name}, {name2} ou {name3}",
        "did you mean {names}?": "vouliez-vous dire {names} ?",
        "; ": " ; ",
        ": ": " : ",
    }
)


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("error: [: not found in media", "erreur : [ : introuvable dans media"),
        ("write a:b; show lists them (explain x)", "écrivez a:b ; show les donne (explain x)"),
        ("history --table T shows its changes (explain x)", "history --table T montre ses changements (explain x)"),
        ("now               gone since 2026-05-04 10:00: x", "maintenant        disparu depuis 2026-05-04 10:00 : x"),
        ("2026-05-04 10:00 to now  changed, 30 rows", "2026-05-04 10:00 à maintenant  changée, 30 lignes"),
        ("did you mean a or b or c?", "vouliez-vous dire a, b ou c ?"),
    ],
)
def test_odd_values_leave_no_english_between(english, french):
    assert ODD(english) == french
