"""Errors of the server as psql prints them in full: the code decides, and key and row are kept for the operator."""

import pytest

from korrigo_backup.errors import Refused
from korrigo_backup.postgres.server_error import (
    ClientFailed,
    NotPermitted,
    StatementFailed,
    TableLocked,
    client_error,
    connection_cause,
    first_error,
    parse,
    statement_error,
)

FOREIGN_KEY = """psql:<stdin>:4: NOTICE:  00000: table "x" does not exist, skipping
LOCATION:  DropErrorMsgNonExistent, tablecmds.c:1300
psql:<stdin>:12: ERROR:  23503: insert or update on table "b" violates foreign key constraint "b_a_fkey"
DETAIL:  Key (a)=(99) is not present in table "a".
SCHEMA NAME:  public
TABLE NAME:  b
CONSTRAINT NAME:  b_a_fkey
LOCATION:  ri_ReportViolation, ri_triggers.c:2596
"""

FUNCTION = """ERROR:  42883: function unaccent(unknown, text) does not exist
LINE 1:  SELECT unaccent('unaccent', $1)
                ^
HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
QUERY:   SELECT unaccent('unaccent', $1)
CONTEXT:  SQL function "f_unaccent" during inlining
LOCATION:  ParseFuncOrColumn, parse_func.c:631
"""


def test_the_first_error_is_read_behind_notices():
    found = parse(FOREIGN_KEY)
    assert found
    assert found.sqlstate == "23503"
    assert found.sqlclass == "23"
    assert found.message == 'insert or update on table "b" violates foreign key constraint "b_a_fkey"'
    assert found.detail == 'Key (a)=(99) is not present in table "a".'


def test_hint_and_context_are_kept():
    found = parse(FUNCTION)
    assert found
    assert found.context == 'SQL function "f_unaccent" during inlining'
    assert found.hint.startswith("No function matches")
    assert found.message == "function unaccent(unknown, text) does not exist"


def test_severity_in_another_language():
    found = parse("ERREUR:  42P01: la relation « a » n'existe pas\nEMPLACEMENT :  x")
    assert found
    assert found.sqlstate == "42P01"


def test_an_error_of_several_lines():
    found = parse("ERROR:  P0001: one\n  two\nCONTEXT:  PL/pgSQL function f() line 1 at RAISE\nSQL statement\n")
    assert found
    assert found.message == "one two"
    assert found.context == "PL/pgSQL function f() line 1 at RAISE SQL statement"


def test_a_connection_that_failed_has_no_code():
    assert parse('psql: error: connection to server failed: FATAL:  role "x" does not exist') is None


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("ERREUR:  42501: droit refusé pour la table a", NotPermitted),
        ("ERREUR:  53100: n'a pas pu étendre le fichier", Refused),
        ("ERREUR:  55P03: annulation de la requête à cause du délai dépassé pour les verrous", TableLocked),
        ("ERREUR:  42P01: la relation « permission denied » n'existe pas", StatementFailed),
    ],
)
def test_the_class_of_an_error_follows_from_its_code_in_every_language(stderr, kind):
    server = parse(stderr)
    assert server
    assert type(statement_error("psql", server.message, server)) is kind


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("pg_dump: error: query failed: ERROR:  permission denied for table a", NotPermitted),
        ("pg_dump: error: aborting because of server version mismatch", Refused),
        ("pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout", TableLocked),
        ("pg_dump: error: something else", ClientFailed),
    ],
)
def test_the_words_of_pg_dump_decide_because_it_prints_no_code(stderr, kind):
    assert type(client_error("pg_dump", first_error(stderr), stderr)) is kind


@pytest.mark.parametrize(
    ("words", "id_"),
    [
        ("FATAL:  authentification par mot de passe échouée pour l'utilisateur  « school »", "server.password"),
        ("FATAL:  la base de données « school » n'existe pas", "database.missing"),
        ("FATAL:  le rôle « school » n'existe pas", "server.role"),
        ("FATAL:  la base de données « school » n'accepte plus les connexions", "server.closed"),
        ("FATAL:  désolé, trop de clients sont déjà connectés", "server.crowded"),
        ("FATAL:  aucune entrée dans pg_hba.conf pour l'hôte « ::1 »,\nbase « a », aucun chiffrement", "server.tls"),
        ("FATAL:  arrêt des connexions suite à la demande de l'administrateur", "server.ended"),
        ("FATAL:  Passwort-Authentifizierung für Benutzer »school« fehlgeschlagen", "server.password"),
        ("FATAL:  Datenbank »school« existiert nicht", "database.missing"),
        ("FATAL:  la autentificación password falló para el usuario «school»", "server.password"),
        ("FATAL:  no existe la base de datos «school»", "database.missing"),
        ('FATALE:  autenticazione con password fallita per l\'utente "school"', "server.password"),
        ('FATALE:  il database "school" non esiste', "database.missing"),
    ],
)
def test_a_refused_connection_has_its_cause_in_the_language_of_the_server(words, id_):
    """The words are those of PostgreSQL 15's catalogues: the server sends no code with them that psql would print."""
    cause = connection_cause(f'psql: error: connection to server at "localhost", port 5432 failed: {words}')
    assert cause
    assert cause.id == id_


def test_the_two_spaces_of_a_french_message_are_one():
    words = "FATAL:  authentification par mot de passe échouée pour l'utilisateur  « school »"
    assert first_error(f"psql: error: {words}").endswith("pour l'utilisateur « school »")
