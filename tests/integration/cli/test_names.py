"""Every verb takes the same names for an artifact: a date, a beginning, `latest`."""

import json


def test_a_date_and_the_beginning_of_a_name_mean_a_backup(site):
    made = site.backup()
    day = f"{made.name[10:14]}-{made.name[14:16]}-{made.name[16:18]}"
    for named in (day, f"{day} {made.name[19:21]}:{made.name[21:23]}", made.name[:20], "latest"):
        assert site.json("show", named)["name"] == made.name
    assert site.json("verify", day)["passed"] is True
    assert site.json("hold", "add", day, "--reason", "audit")["holds"][0]["name"] == made.name
    assert site.json("hold", "release", "latest")["holds"][0]["name"] == made.name
    assert site.korrigo("plan", "2020-01-01", code=6)


def test_a_name_that_means_several_backups_lists_them(site):
    first, second = site.backup(), site.backup()
    err = site.korrigo("restore", "db_backup", "--yes", code=2).err
    assert f"means 2 backups: {first.name}, {second.name}" in err


def test_latest_skips_a_backup_that_is_known_to_be_bad_and_names_it(site):
    good, bad = site.backup(), site.backup()
    bad.write_bytes(bad.read_bytes()[:-10])
    site.korrigo("verify", bad, code=9)
    done = site.korrigo("show", "latest", "--json")
    assert json.loads(done.out)["name"] == good.name
    assert f"newer, and passed over: {bad.name} was found bad" in done.err
