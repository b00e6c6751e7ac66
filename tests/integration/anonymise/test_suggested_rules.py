"""`drill --anonymise suggest` on a site without Django: columns are found by the values that they hold."""

import tomllib

from sandbox import nothing_changes

SCHEMA = """
CREATE TABLE pupil (
  id serial PRIMARY KEY, email varchar(60) NOT NULL UNIQUE, last_name text NOT NULL, login varchar(30) NOT NULL,
  role text NOT NULL, nickname text NOT NULL, extra jsonb NOT NULL DEFAULT '{}', tags text[] NOT NULL DEFAULT '{}',
  kept text GENERATED ALWAYS AS (upper(last_name)) STORED);
CREATE TABLE letter (
  id serial PRIMARY KEY, sender text NOT NULL, body text NOT NULL, short varchar(12) NOT NULL, remark text NOT NULL,
  contact text NOT NULL);
CREATE TABLE quote (of_remark text NOT NULL);
CREATE TABLE code (name varchar(20) PRIMARY KEY);
INSERT INTO pupil (email, last_name, login, role, nickname, extra, tags)
  SELECT 'pupil' || n || '@lycee.example', 'Name' || n, CASE n WHEN 1 THEN 'admin' ELSE 'login' || n END,
         (ARRAY['teacher', 'admin', 'corrector'])[1 + n % 3], 'harmless', jsonb_build_object('mother', 'Name' || n),
         ARRAY['x', 'Name' || n]
  FROM generate_series(1, 30) n;
INSERT INTO letter (sender, body, short, remark, contact)
  SELECT email, 'Dear ' || last_name || ', well done', 'to ' || last_name, 'a remark of ' || login,
         'office' || id || '@elsewhere.example'
  FROM pupil;
INSERT INTO quote SELECT remark FROM letter;
INSERT INTO code VALUES ('Name7');
"""


def test_the_rules_are_found_by_the_values_and_work_unedited(make_site):
    site = make_site(schema=SCHEMA)
    with nothing_changes(site):
        text = site.korrigo("drill", "--anonymise", "suggest").out
    found = tomllib.loads(text)
    pupil = {"email": "faker:email", "last_name": "faker:last_name", "login": "faker:user_name", "role": "keep"}
    assert found["tables"]["pupil"] == pupil | {"extra": "empty", "tags": "empty"}
    assert found["accept"] == ["pupil.role"]
    assert found["tables"]["letter"] == {
        "sender": "faker:email",
        "body": "faker:sentence",
        "short": "faker:word",
        "remark": "faker:sentence",
        "contact": "faker:email",  # of persons that no other column names
    }
    assert found["tables"]["quote"] == {"of_remark": "faker:sentence"}
    assert "no rule fits: empty its table, or name the column in accept" in text  # code.name, a key
    path = site.home / "rules.toml"
    site.backup()
    path.write_text(text)
    left = site.korrigo("drill", "--anonymise", path, code=9).err
    assert "in 1 place: code.name" in left
    assert "drill --anonymise suggest" in left
    path.write_text(text.replace('"pupil.role"', '"pupil.role", "code.name"'))
    site.korrigo("drill", "--anonymise", path)


def test_without_the_right_to_temporary_tables_the_names_are_looked_at_alone(make_site):
    site = make_site(schema="CREATE TABLE pupil (id serial PRIMARY KEY, email text, note text)")
    site.sql(f'REVOKE TEMP ON DATABASE "{site.database}" FROM PUBLIC', superuser=True)
    site.sql(f'ALTER DATABASE "{site.database}" OWNER TO CURRENT_USER', superuser=True)
    text = site.korrigo("drill", "--anonymise", "suggest").out
    assert "# Names of columns alone were looked at" in text
    assert tomllib.loads(text)["tables"]["pupil"] == {"email": "faker:email"}
