"""Where values come from, and what is said of wrong ones."""

import pytest

from korrigo_backup.config.load import load
from korrigo_backup.config.model import Configuration, defaults
from korrigo_backup.core.secret import Secret
from korrigo_backup.core.variables import VARIABLES
from korrigo_backup.errors import UsageError

TOML = """
[database]
name = "from_toml"
user = "toml_user"
host = "toml.example"
[backup]
retention_days = 5
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "korrigo-backup.toml").write_text(TOML)
    (tmp_path / ".env").write_text("POSTGRES_DB=from_dotenv\nPOSTGRES_USER='dotenv user'\nOTHER=$POSTGRES_DB\n")
    return tmp_path


@pytest.mark.contract("C1")
def test_the_defaults_are_korrigos(tmp_path):
    config = load(tmp_path, {})
    assert (config.database.name, config.database.user) == ("viatique", "viatique_user")
    assert (str(config.backup.dir), config.backup.retention_days) == ("backups", 30)
    assert config.database.password is None


@pytest.mark.contract("C1")
def test_the_environment_wins_over_dotenv_that_over_toml_that_over_the_defaults(place):
    config = load(place, {"POSTGRES_DB": "from_environment"})
    assert config.database.name == "from_environment"
    assert config.database.user == "dotenv user"
    assert config.database.host == "toml.example"
    assert config.backup.retention_days == 5
    assert config.database.port == 5432


@pytest.mark.contract("C1")
def test_an_empty_variable_is_as_unset(place):
    assert load(place, {"POSTGRES_DB": "", "BACKUP_RETENTION_DAYS": ""}).database.name == "from_dotenv"


def plain(value):
    """A value as it was given, a secret one too."""
    return value.reveal() if isinstance(value, Secret) else str(value)


@pytest.mark.contract("C1")
@pytest.mark.parametrize(("variable", "place_"), VARIABLES.items())
def test_every_variable_sets_its_key(tmp_path, variable, place_):
    section, key = place_
    addresses = {"urls": "slack://given/words discord://given/others", "healthchecks_url": "https://given.example/a"}
    numbers = {
        "port": "7",
        "connect_timeout": "7",
        "sslmode": "require",
        "retention_days": "7",
        "daily": "1 2 * * *",
        "weekly": "1 2 * * 3",
        "points": "*/15 * * * *",
        "drill": "1 2 * * 3",
        "overdue": "1 2 * * 3",
    }
    value = (addresses | numbers).get(key, "given")
    found = getattr(getattr(load(tmp_path, {variable: value}), section), key)
    words = [plain(word) for word in found] if isinstance(found, tuple) else [plain(found)]
    assert " ".join(words) == value


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[database]\nnmae = 'x'", "unknown key 'database.nmae'", "did you mean 'name'?"),
        ("[databse]\nname = 'x'", "unknown key 'databse'", "did you mean 'database'?"),
        ("[backup]\nxyzzy = 1", "unknown key 'backup.xyzzy'", "known here: dir, "),
        ("name = 'x'", "'name' stands outside a section", "[database]"),
        ("[database", "is not valid TOML", "correct that line"),
        ("[media]\n[media]\nroot = 'x'", "twice", "one section [media] holds all its settings"),
        ("[targets.nas]\n[targets.nas]\nurl = 'x'", "twice", "one section [targets.nas] holds all its settings"),
        ("[site]\nname = ''", "site.name: must be a name", "correct the value"),
        ('[site]\nenvironment = "a\\nb"', "site.environment: must be a name", "correct the value"),
        ("[schedule]\ndaily = ''", "schedule.daily: must not be empty; never turns it off", "correct the value"),
        ("[database]\nport = 70000", "the TOML file: database.port", "correct the value"),
        ("[backup]\nretention_days = 'soon'", "the TOML file: backup.retention_days", "correct the value"),
        ("[backup]\nretention_days = -1", "backup.retention_days", "correct the value"),
        ("[services]\nstop = 'systemctl stop'", "services.stop", "correct the value"),
        ("[notify]\nevents = ['never']", "notify.events", "correct the value"),
        (
            "[[contacts.people]]\nrole = 'x'\ncontct = 'y'",
            "unknown key 'contacts.people.0.contct'",
            "did you mean 'contact'?",
        ),
        ("[[notify.channels]]\nname = 'x'", "notify.channels.0.url: is missing", "correct the value"),
        ("[retention.media]\ndayz = 3", "unknown key 'retention.media.dayz'", "did you mean 'days'?"),
        ("[schedule]\nmedia = 'monthly'", "schedule.media: must be one of daily, weekly", "correct the value"),
        ("[notify]\nevents = ['success', 'x']", "notify.events.1: must be one of start, success,", "correct the value"),
        ("[database]\nport = true", "database.port: must be a whole number, got true or false", "correct the value"),
        ("[status]\nrpo_hours = -1", "status.rpo_hours: must be a number >= 0", "correct the value"),
        ("[backup]\ndir = ''", "backup.dir: must not be empty", "correct the value"),
        ("[backup]\ndir = '~no-such-user/b'", "has ~ and no such home directory", "correct the value"),
        ("[backup]\ndir = 5", "backup.dir: must be text", "correct the value"),
        ("[contacts]\npeople = ['x']", "contacts.people.0: must be a table, got text", "correct the value"),
        ("[retention]\nmedia = [{days = 1}]", "retention.media: must be a table, got a list", "correct the value"),
        ('[django]\nmanage = "\'a"', "django.manage: no closing quotation", "correct the value"),
        (
            "[validate.accept]\n'validate.users' = ' '",
            "validate.accept.validate.users: must be a reason, as text",
            "correct the value",
        ),
        (
            "[notify.subjects]\n'a - at `$.x' = 'y'",
            "notify.subjects.a - at `$.x: is no event; these are: start,",
            "correct the value",
        ),
        ("[notify.bodies]\nsuccess = 1", "notify.bodies.success: must be text", "correct the value"),
        (
            "[notify.channels]\nops = {url = 'a://b'}",
            "notify.channels: must be a list, got a table",
            "correct the value",
        ),
        ('[schedule]\nuser = "root\\n"', "schedule.user: must be text that matches", "correct the value"),
        (
            '[status]\naccept = ["status.a\\n"]',
            r"must be text that matches '^(status|canary)\.[a-z_]+\Z'",
            "correct the value",
        ),
        ("[database]\nsslmode = 'null'", "database.sslmode: must be one of disable,", "correct the value"),
        (
            "[services]\nhealth_timeout = 'null'",
            "services.health_timeout: must be a number, not other text",
            "correct the value",
        ),
        ("[services]\nhealth_url = false", "services.health_url: must be text, got true or false", "correct the value"),
        ("[retention]\ndatabase = 'null'", "retention.database: must be a table, got text", "correct the value"),
        (
            "[backup]\nretention_days = '7                                 x'",
            "must be a number, not other text",
            "correct the value",
        ),
        ("[notify]\nurl = 'x'", "unknown key 'notify.url'", "did you mean 'urls'?"),
        ("[notify.subjects]\nfailure = '$Stie'", "unknown placeholder $Stie", "correct the value"),
        ("[notify.subjects]\nfailure = '$ 5'", "write $$ for a dollar sign", "correct the value"),
    ],
)
def test_a_mistake_is_named_with_the_next_step(tmp_path, text, message, hint):
    (tmp_path / "korrigo-backup.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, {})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_wrong_value_names_the_variable_and_where_it_was_set(place):
    with pytest.raises(UsageError, match=r"BACKUP_RETENTION_DAYS in the environment: backup\.retention_days"):
        load(place, {"BACKUP_RETENTION_DAYS": "soon"})
    (place / ".env").write_text("POSTGRES_PORT=many\n")
    with pytest.raises(UsageError, match=r"POSTGRES_PORT in .*\.env: database.port"):
        load(place, {})


@pytest.mark.parametrize(("text", "value"), [("'off'", False), ("'yes'", True), ("1", True), ("false", False)])
def test_a_switch_may_be_text_or_a_number(tmp_path, text, value):
    (tmp_path / "korrigo-backup.toml").write_text(f"[nightly]\ndrill = {text}\n")
    assert load(tmp_path, {}).nightly.drill is value


@pytest.mark.parametrize("text", [" 7 ", "007", "+7", "7.0"])
def test_a_variable_that_is_a_number_is_read_as_people_write_it(tmp_path, text):
    assert load(tmp_path, {"POSTGRES_PORT": text}).database.port == 7


def test_every_number_may_be_text(tmp_path):
    """A number without a reader of its own would be refused as text, which the environment and templates give."""
    for section, keys in defaults().items():
        texts = {key: str(value) for key, value in keys.items() if type(value) in {int, float}}
        if texts:
            lines = "".join(f'{key} = "{text}"\n' for key, text in texts.items())
            (tmp_path / "korrigo-backup.toml").write_text(f"[{section}]\n{lines}")
            assert load(tmp_path, {}) == Configuration()
    (tmp_path / "korrigo-backup.toml").write_text('[retention.media]\ndays = "030"\n')
    rule = load(tmp_path, {}).retention.media
    assert rule is not None
    assert rule.days == 30


def test_an_empty_secret_counts_as_none(tmp_path):
    (tmp_path / "korrigo-backup.toml").write_text("[notify]\nhealthchecks_url = ''\n")
    assert not load(tmp_path, {}).notify.healthchecks_url


def test_home_is_known_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/school")
    (tmp_path / "korrigo-backup.toml").write_text("[kit]\nfiles = ['~/certificate']\n[backup]\ndir = '~/b'\n")
    config = load(tmp_path, {})
    assert [str(path) for path in (config.backup.dir, *config.kit.files)] == [
        "/home/school/b",
        "/home/school/certificate",
    ]


@pytest.mark.contract("C5")
def test_a_wrong_value_near_a_password_does_not_show_it(place):
    with pytest.raises(UsageError) as caught:
        load(place, {"POSTGRES_PASSWORD": "hunter22", "POSTGRES_PORT": "x"})
    assert "hunter22" not in str(caught.value) + caught.value.hint
    assert "hunter22" not in repr(load(place, {"POSTGRES_PASSWORD": "hunter22"}))


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load(tmp_path, {}, tmp_path / "other.toml")
    assert load(tmp_path, {}).site.name == "korrigo"


def test_a_password_is_taken_as_it_stands_in_dotenv(tmp_path):
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD='pa$$w${HOME}rd #1'\n")
    password = load(tmp_path, {}).database.password
    assert password
    assert password.reveal() == "pa$$w${HOME}rd #1"
