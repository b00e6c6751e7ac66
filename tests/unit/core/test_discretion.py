"""Names of people do not leave the host; what helps to repair does."""

import pytest

from korrigo_backup.core.personal_data import discreet


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("2 files changed while they were read: copies/2026/Dupont Jean 3B.pdf", "2 files changed while they were read: <file>"),
        ("cannot read the media: Permission denied: /srv/media/dupont.jpg", "cannot read the media: Permission denied: <file>"),
        ("media_backup_20260204_040000.tar.gz: copies/dupont.pdf differs from its checksum", "media_backup_20260204_040000.tar.gz: <file> differs from its checksum"),
        ("Dupont_Jean.PDF is listed but not in the archive", "<file> is listed but not in the archive"),
        ("a.pdf, b/c d.png, e.docx.", "<file>, <file>, <file>."),
        ("duplicate key: Key (email)=(jean@lycee.example) already exists.", "duplicate key: Key (<value>) already exists."),
        ("Key (lower(name))=(jean (3B) dupont) already exists.", "Key (<value>) already exists."),
        ("La clé (nom)=(Jean Dupont) existe déjà.", "La clé (<value>) existe déjà."),
        ("Failing row contains (7, Dupont, (b)).", "Failing row contains (<value>)."),
        ('value "4711471147" is out of range for type integer', "value <value> is out of range for type integer"),
        ("syntaxe en entrée invalide pour le type integer : « Dupont »", "syntaxe en entrée invalide pour le type integer : <value>"),
        ('invalid input syntax for type integer: "Dupont"', "invalid input syntax for type integer: <value>"),
        ("no such user jean.dupont@lycee.example here", "no such user <address> here"),
    ],
)  # fmt: skip
def test_names_of_uploads_addresses_and_values_are_taken_out(text, left):
    assert discreet(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "the backup /srv/korrigo/backups/db_backup_20260204_030000.sql.gz is made and verified, but then: no space",
        'connection to server on socket "/nowhere/.s.PGSQL.5432" failed: No such file or directory',
        "the way to reach the database is unknown: there is no infra/docker/docker-compose.prod.yml",
        "the key file /home/ops/.config/korrigo-backup/key can be read by others (mode 644)",
        "korrigo-backup restore backups/pre_restore_safety_backup_20260204_030000.sql.gz",
        "cannot read /srv/korrigo/.env: it is not UTF-8; run python manage.py migrate",
        "relation public.exams_copy has 5 rows, not 6",
    ],
)
def test_what_helps_to_repair_stays(text):
    assert discreet(text) == text
