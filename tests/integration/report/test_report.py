"""Reports of real drills: Markdown as in the runbook, one HTML file in a real browser and printed."""

import re
import shutil

import pytest

NIGHT = "[nightly]\ndrill = false\n"


@pytest.fixture
def drilled(site):
    """A site with a restore point that was drilled."""
    (site.home / "korrigo-backup.toml").write_text(f'{NIGHT}[report]\nrpo = "24h"\nrto = "4h"\n')
    site.korrigo("backup", "full")
    site.korrigo("verify", "latest-point", "--depth", "full")
    return site


@pytest.fixture
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make setup")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.mark.contract("D3")
def test_the_report_of_a_drill_has_the_headings_and_lines_of_the_runbook(drilled):
    out = drilled.korrigo("report", "drill", "--lang", "fr").out
    (point,) = drilled.backups.glob("restore_point_*.json")
    for line in (
        r"# Disaster Recovery Test Report",
        r"\*\*Date\*\*: \d{4}-\d\d-\d\d  ",
        r"\*\*Testeur\*\*: \S+@\S+  ",
        r"\*\*Environnement\*\*: korrigo production  ",
        r"## Résumé",
        r"- ✅ Backup créé: \S+ \(DB \+ media\)",
        r"- ✅ Temps de restore: [0-9.]+ s",
        r"- ✅ Validation complète passée",
        r"## Détails",
        r"- Tables restaurées: 4",
        r"- Lignes prouvées: 620",
        r"- Fichiers média: 4",
        rf"- Sauvegarde: {point.name}",
        r"- RPO mesuré: [0-9.]+ s \(objectif 24 h\)",
        r"- RTO mesuré: [0-9.]+ s \(objectif 4 h\)",
        r"## Problèmes Rencontrés\n- Aucun",
        r"## Recommandations\n- RAS - Procédure validée",
    ):
        assert re.search(f"^{line}$", out, re.MULTILINE), line
    assert drilled.korrigo("report", "drill", point.name, "--lang", "en").out.count("## Summary") == 1


def test_the_language_is_that_of_the_locale(drilled):
    assert "## Summary" in drilled.korrigo("report", "drill", env={"LC_ALL": "en_GB.UTF-8"}).out
    assert "## Résumé" in drilled.korrigo("report", "drill", env={"LC_ALL": "fr_FR.UTF-8"}).out


def test_without_a_drill_there_is_no_report_of_one(site):
    site.backup()
    done = site.korrigo("report", "drill", code=6)
    assert "the journal has no drill" in done.err
    assert "## Drills\n- None" in site.korrigo("report", "--lang", "en").out
    assert "aucun exercice dans la période" in site.korrigo("report", "--lang", "fr").out


def test_a_damaged_backup_fails_in_the_report(drilled):
    (dump,) = drilled.backups.glob("db_backup_2*.sql.gz")
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    drilled.korrigo("verify", "latest-point", "--depth", "full", code=9)
    out = drilled.korrigo("report", "drill", "--lang", "en").out
    assert "**❌ failed**" in out
    assert "Validation failed" in out
    assert "do not rely on this backup" in out


def test_a_period_names_problems_and_who_decided(drilled):
    for _ in range(2):
        drilled.korrigo("backup", "full")
    drilled.sql("DELETE FROM annotation")
    drilled.korrigo("nightly", code=3)
    drilled.korrigo("canary", "accept", "--reason", "archived | moved")
    out = drilled.korrigo("report", "--lang", "en").out
    assert "- ✅ Backups: 4 of 4 made" in out
    assert "- ✅ Drills: 1 passed, 0 failed, 0 not possible" in out
    assert "canary: db_backup_" in out
    assert "reason: archived \\| moved" in out
    assert "the period is empty" in drilled.korrigo("report", "--from", "2031-01-01", code=2).err
    assert "is not a day" in drilled.korrigo("report", "--from", "yesterday", code=2).err


def test_the_questions_of_auditors_are_answered_with_evidence(drilled):
    out = drilled.korrigo("report", "compliance", "--lang", "en").out
    assert "| 13.4 | Are the accepted outage and loss of data set (DMIA, PRD)? | ✅ | met | RPO 24 h, RTO 4 h |" in out
    assert "| 13.6 |" in out
    assert out.count("| ✅ | met |") + out.count("| ❌ | not met |") + out.count("| ❓ | not known |") == 29


@pytest.mark.parametrize("subject", ["drill", "period", "compliance"])
def test_the_page_stands_alone_in_a_browser_and_is_printed(drilled, browser, subject):
    place = drilled.home / "report.html"
    assert f"✅ Report: {place.name}" in drilled.korrigo("report", subject, "--html", place.name).out
    assert place.stat().st_mode & 0o777 == 0o600
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    asked, problems = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.goto(place.as_uri())
    assert asked == [place.as_uri()]
    assert problems == []
    assert page.locator("h1").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    charts = page.locator("svg")
    assert charts.count() == (0 if subject == "compliance" else 2)
    for number in range(charts.count()):
        box = charts.nth(number).bounding_box()
        assert box["width"] > 500
        assert charts.nth(number).locator("rect").first.bounding_box()["height"] > 5
    page.set_viewport_size({"width": 420, "height": 800})
    if subject == "drill":
        assert page.locator(".figure").first.is_visible()
    printed = page.pdf(format="A4", print_background=True)
    assert printed.startswith(b"%PDF-")
    assert 1 <= printed.count(b"/Type /Page\n") + len(re.findall(rb"/Type /Page[^s]", printed)) <= 8


def test_only_a_report_is_replaced(drilled):
    settings = drilled.home / "korrigo-backup.toml"
    before = settings.read_bytes()
    assert "is no HTML page" in drilled.korrigo("report", "--html", settings, code=2).err
    assert settings.read_bytes() == before
    for _ in range(2):
        drilled.korrigo("report", "--html", drilled.home / "report.html")


@pytest.mark.promise("P1")
def test_the_report_of_a_failed_drill_measures_no_recovery_and_proves_no_row(drilled):
    (media,) = drilled.backups.glob("media_backup_*.gz")
    media.write_bytes(media.read_bytes()[:-9])
    drilled.korrigo("drill", "latest-point", code=9)
    out = drilled.korrigo("report", "drill", "--lang", "en").out
    assert "- ❓ RTO measured: not measured (target 4 h)" in out
    assert "- Rows in the backup: 620" in out
    assert "Rows proven" not in out
    assert re.search(r"\| ❌ \| 620 \| 4 \| not measured \|", out)


def test_a_number_of_one_has_its_noun_in_the_singular(drilled):
    drilled.korrigo("canary")
    reports = (("drill",), ("period",), ("compliance",))
    outs = [drilled.korrigo("report", *words, "--lang", "en").out for words in reports]
    outs += [drilled.korrigo("status", code=(0, 10)).out, drilled.korrigo("checklist", code=(0, 10)).out]
    assert [re.findall(r"(?<![\d.,])1 [a-z]{2,}s\b", out) for out in outs] == [[]] * 5


def test_the_ends_of_runs_are_in_the_language_of_the_report(drilled):
    drilled.korrigo("canary", "accept", "latest", "--reason", "the test")
    for lang, end in (("fr", "terminé"), ("en", "done")):
        assert f"| {end} | reason: the test |" in drilled.korrigo("report", "--lang", lang).out
