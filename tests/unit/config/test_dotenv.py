"""`.env` as Docker Compose reads it. The expected values are those of compose-go's own reader."""

import pytest

from korrigo_backup.config.load import dotenv_problems, load, surroundings
from korrigo_backup.core.dotenv import Fault, parse, without, written
from korrigo_backup.errors import UsageError
from korrigo_backup.system.dotenv import read_dotenv
from property_testing import example, given, st

ENVIRONMENT = {"HOME_DIR": "/h", "EMPTY": ""}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=shop", "shop"),
        ("A = shop", "shop"),
        ("  A: shop", "shop"),
        ("export\tA=shop", "shop"),
        ("\ufeffA=shop\r", "shop"),
        ("A=a b  c  ", "a b  c"),
        ("A=shop # why", "shop"),
        ("A=shop\t# why", "shop\t# why"),
        ("A=sh#op", "sh#op"),
        ("A=#shop", "#shop"),
        ("A= # why", "# why"),
        ("A=", ""),
        ("A=''", ""),
        ('A="shop" # why', "shop"),
        ("A='a \"b\" $C ${D} $$ #e \\n'", 'a "b" $C ${D} $$ #e \\n'),
        ("A='it\\'s'", "it's"),
        ('A="it\'s \\"so\\""', 'it\'s "so"'),
        ('A="a\\tb\\nc\\\\d"', "a\tb\nc\\d"),
        ('A="\\0101\\0999\\c"', "A\\999\\c"),
        ('A="one\ntwo"', "one\ntwo"),
        ("A='one\n# two\n'", "one\n# two\n"),
        ("A=a\\nb", "a\\nb"),
        ("A=a$$b", "a$b"),
        ('A="a$$b"', "a$b"),
        ('A="a\\$b"', "a$b"),
        ("A=$HOME_DIR/x", "/h/x"),
        ("B=one\nA=${B}_db", "one_db"),
        ("HOME_DIR=/other\nA=$HOME_DIR", "/h"),
        ("A=${EMPTY:-y}${EMPTY-z}", "y"),
        ("A=${GONE:-y}${GONE-z}", "yz"),
        ("A=${HOME_DIR:+y}${EMPTY:+z}${EMPTY+w}", "yw"),
        ("A=${GONE:-${ALSO:-${HOME_DIR}}}", "/h"),
        ("A=${GONE:-a}b}", "ab}"),
        ("A=${HOME_DIR:?why}", "/h"),
        ("A=$GONE.", "."),
        ("A=one\nA=two", "two"),
        ("EMPTY\nA=shop", "shop"),
    ],
)
def test_a_value_is_the_one_that_compose_takes(line, value):
    assert parse(line + "\n", ENVIRONMENT).values["A"] == value


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("A B=c\nLAST=1\n", 1, Fault.NO_SETTING),
        ("# x\n\n[a section]\nLAST=1\n", 3, Fault.NO_SETTING),
        ("ok='one\ntwo'\n*** s3cret ***\nLAST=1\n", 3, Fault.NO_SETTING),
        ("=s3cret\nLAST=1\n", 1, Fault.NO_SETTING),
        ("OTHER='s3cret\nLAST=1\n", 1, Fault.OPEN_QUOTE),
        ("OTHER=${GONE:?s3cret}\nLAST=1\n", 1, Fault.REQUIRED),
        ("OTHER=pa$word\nLAST=1\n", 1, Fault.UNSET),
    ],
)
def test_a_line_that_is_no_setting_is_named_and_hides_no_other(text, line, fault):
    found = parse(text, {})
    assert found.values["LAST"] == "1"
    assert [(one.line, one.fault) for one in found.problems] == [(line, fault)]
    assert "s3cret" not in repr(found)


@pytest.mark.promise("P7")
@pytest.mark.parametrize("value", ["'s3cret", "'it's3cret'", '"s3cret', "${GONE?s3cret}", '"a" "s3cret'])
def test_a_line_of_ours_that_cannot_be_read_is_refused_without_its_text(tmp_path, value):
    (tmp_path / ".env").write_text(f"X=1\nPOSTGRES_PASSWORD={value}\n")
    with pytest.raises(UsageError, match="line 2: POSTGRES_PASSWORD cannot be read") as caught:
        load(tmp_path, {})
    assert "s3cret" not in str(caught.value) + caught.value.hint


@pytest.mark.contract("C1")
def test_the_environment_wins_also_where_a_line_refers_to_it(tmp_path):
    (tmp_path / ".env").write_text("NAME=file\nPOSTGRES_DB=${NAME}_db\nPOSTGRES_USER=me\n")
    assert load(tmp_path, {}).database.name == "file_db"
    assert load(tmp_path, {"NAME": "shell"}).database.name == "shell_db"
    assert surroundings(tmp_path, {"POSTGRES_USER": "you"})["POSTGRES_USER"] == "you"
    assert read_dotenv(tmp_path / "gone") == {}


def test_a_carriage_return_inside_quotation_marks_stays(tmp_path):
    (tmp_path / ".env").write_bytes(b"KEY='a\r\nb'\r\nPOSTGRES_DB=shop\r\n")
    assert read_dotenv(tmp_path / ".env") == {"KEY": "a\r\nb", "POSTGRES_DB": "shop"}


def test_our_own_file_wins_over_dotenv_and_the_environment_over_both(tmp_path):
    (tmp_path / ".env").write_text(
        "POSTGRES_DB=of_the_site\nBACKUP_DIR=theirs\nKORRIGO_BACKUP_SITE=theirs\nHOME_OF=/srv\n"
    )
    own = tmp_path / "korrigo-backup.env"
    own.write_text("BACKUP_DIR=${HOME_OF}/ours\nKORRIGO_BACKUP_SITE=ours\nPOSTGRES_DB=\nbroken line\n")
    config = load(tmp_path, {"KORRIGO_BACKUP_SITE": "given"})
    assert (config.database.name, str(config.backup.dir), config.site.name) == ("of_the_site", "/srv/ours", "given")
    found = surroundings(tmp_path, {"KORRIGO_BACKUP_SITE": "given"})
    assert (found["POSTGRES_DB"], found["BACKUP_DIR"], found["KORRIGO_BACKUP_SITE"]) == (
        "of_the_site",
        "/srv/ours",
        "given",
    )
    assert [(one.file, one.line) for one in dotenv_problems(tmp_path, {})] == [("korrigo-backup.env", 4)]
    own.write_text("BACKUP_RETENTION_DAYS=many\n")
    with pytest.raises(UsageError, match=r"BACKUP_RETENTION_DAYS in .*korrigo-backup\.env"):
        load(tmp_path, {})


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], whitelist_characters="\n"), max_size=30))
@example("a\\")
def test_a_written_setting_is_read_as_it_was_given(value):
    assert parse(written("NAME", value), {}).values == {"NAME": value}


@pytest.mark.parametrize(
    "line",
    [
        "POSTGRES_PASSWORD=x\n",
        "  export  POSTGRES_PASSWORD = 'a # b'  # the old one\n",
        'POSTGRES_PASSWORD="two\nPOSTGRES_DB=no setting\nlines"\n',
        "POSTGRES_PASSWORD: yaml\n",
        "POSTGRES_PASSWORD=a\nPOSTGRES_PASSWORD=b\n",
    ],
)
def test_a_setting_is_taken_out_however_it_is_spelled(line):
    before, after = "# of the site\nPOSTGRES_DB=shop\nnot a setting\n\n", "POSTGRES_PASSWORD_FILE=/run/x\n# end"
    assert without(before + line + after, "POSTGRES_PASSWORD") == before + after
    assert without(line, "POSTGRES_PASSWORD") == ""
    assert without(before + after, "POSTGRES_PASSWORD") == before + after
