"""`rescue SYMPTOM`: one object, table or file: how it stood, whether it is gone, and the ways back for it."""

import shlex

import pytest

from rescue_days import days


def look(site, *named, code=0):
    return site.json("rescue", *named, code=code)["symptoms"]


def command(symptom):
    return shlex.split(symptom["offers"][0]["command"])[1:]


def test_an_object_that_is_gone_has_its_history_and_comes_back(site):
    first, second = days(site, "DELETE FROM annotation WHERE id = 5")
    (symptom,) = look(site, "annotation:5")
    gone = symptom["row"]["events"][-1]
    assert (gone["kind"], gone["source"], symptom["is_as_saved"]) == ("gone", second, False)
    assert command(symptom) == ["undelete", "public.annotation:5", "--from", first]
    site.korrigo(*command(symptom), "--yes")
    (symptom,) = look(site, "annotation:5")
    assert symptom["row"]["is_live"] is True
    assert symptom["offers"] == []


def test_an_object_that_is_as_saved_is_named_so(site):
    days(site)
    out = site.korrigo("rescue", "exam:3").out
    assert "✅ exam:3 is live as in the newest backup" in out
    site.sql("UPDATE exam SET name = 'other' WHERE id = 3")
    (symptom,) = look(site, "exam:3")
    assert (symptom["is_as_saved"], symptom["row"]["events"][-1]["kind"]) == (False, "changed")
    assert command(symptom)[0] == "revert"
    site.korrigo(*command(symptom), "--yes")
    assert look(site, "exam:3")[0]["is_as_saved"] is True


def test_a_table_has_the_times_of_its_losses_and_the_ways_back(site):
    first, _ = days(site, "DELETE FROM annotation WHERE id < 100")
    (symptom,) = look(site, "annotation")
    assert symptom["table"]["moments"][0]["kind"] == "fewer rows"
    assert symptom["tables"][0]["change"]["removed"] == 99
    assert command(symptom) == ["undelete", "--table", "public.annotation", "--from", first]
    assert look(site, "exam")[0]["is_as_saved"] is True


def test_a_file_that_is_gone_comes_back_by_its_path_or_its_absolute_path(site):
    days(site)
    media = site.backup_media()
    path = site.media / "copies/2026/scan 1.pdf"
    content = path.read_bytes()
    path.unlink()
    for named in ("copies/2026/scan 1.pdf", str(path)):
        (symptom,) = look(site, named)
        assert symptom["file"]["events"][-1]["kind"] == "gone"
        assert command(symptom) == ["restore", "--file", "copies/2026/scan 1.pdf", media.name]
    site.korrigo(*command(symptom), "--yes")
    assert path.read_bytes() == content
    site.write("copies/2026/scan 1.pdf", b"other")
    (symptom,) = look(site, "copies/2026/scan 1.pdf")
    assert "--overwrite" in command(symptom)
    site.korrigo(*command(symptom), "--yes")
    assert path.read_bytes() == content


def test_what_means_two_things_is_shown_as_both(site):
    site.write("exam", b"a file")
    days(site)
    site.backup_media()
    table, file = look(site, "exam")
    assert (table["table"]["table"], file["file"]["file"]) == ("public.exam", "exam")
    assert "exam means two things" in site.korrigo("rescue", "exam").out


def test_several_symptoms_are_looked_at_one_after_the_other(site):
    days(site)
    site.backup_media()
    found = look(site, "exam:3", "annotation", "pages/p1.jpg")
    assert [one["symptom"] for one in found] == ["exam:3", "annotation", "pages/p1.jpg"]


@pytest.mark.parametrize(
    ("named", "near"), [("anotation", "annotation"), ("pages/p2.jpg", "pages/p1.jpg"), ("exams:3", "exam")]
)
def test_what_is_nothing_known_has_near_names(site, named, near):
    days(site)
    site.backup_media()
    assert near in site.korrigo("rescue", named, code=6).err


def test_a_directory_has_the_command_for_what_is_below_it(site):
    days(site)
    site.backup_media()
    assert "restore --file copies --dry-run" in site.korrigo("rescue", "copies", code=2).err


def test_without_the_database_the_backups_are_looked_at(site):
    days(site, "DELETE FROM annotation WHERE id = 5")
    out = site.korrigo("rescue", "annotation:5", env={"POSTGRES_PORT": "1"}).out
    assert "gone" in out
    assert "not looked at" in out


def test_a_table_that_is_as_in_the_newest_backup_shows_the_steps_that_changed_it(site):
    first, second, third = days(
        site, "UPDATE annotation SET body = 'wiped'", "DELETE FROM annotation WHERE id IN (5, 6)"
    )
    (symptom,) = look(site, "annotation")
    changed, removed = symptom["steps"]
    assert (changed["change"]["changed"], removed["change"]["removed"]) == (300, 2)
    offered = [shlex.split(one["command"])[1:] for one in symptom["offers"]]
    assert ["revert", "--table", "public.annotation", "--from", first, "--accident", second] in offered
    assert any(one[0] == "undelete" and one[-1] == second for one in offered)
    out = site.korrigo("rescue", "annotation").out
    assert "✅" not in out
    assert third not in str(offered)


def test_growth_of_a_table_is_named_as_ordinary(site):
    days(site, "INSERT INTO exam (name) VALUES ('new')")
    out = site.korrigo("rescue", "exam").out
    assert "ordinary growth" in out
    assert "✅ exam is live as in the newest backup" in out


def test_a_dropped_column_is_a_loss_of_its_table(site):
    (saved,) = days(site)
    site.sql("ALTER TABLE annotation DROP COLUMN body CASCADE")
    (symptom,) = look(site, "annotation")
    assert (symptom["is_as_saved"], symptom["tables"][0]["change"]["lost_columns"]) == (False, ["body"])
    assert command(symptom)[0] == "restore"
    out = site.korrigo("rescue", "--only-data").out
    assert "columns that are gone" in out
    assert "No row and no file" not in out
    site.backup()
    out = site.korrigo("rescue", "annotation").out
    assert "✅" not in out
    assert f"restore {saved}" in out


def test_a_row_of_a_dropped_table_comes_back_with_the_backup_alone(site):
    (saved,) = days(site)
    site.sql("DROP TABLE annotation CASCADE")
    (symptom,) = look(site, "annotation:5")
    assert [shlex.split(one["command"])[1:] for one in symptom["offers"]] == [["restore", saved]]
