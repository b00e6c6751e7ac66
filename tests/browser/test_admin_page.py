"""The page of backups in the reference site's admin, on PostgreSQL, with real backups, in a real browser."""

import shlex

from demosite import MANAGE
from sandbox import until

BRIGHTNESS = """canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0, drawn = 0;
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] === 255) {
            sum += data[at] + data[at + 1] + data[at + 2];
            drawn += 1;
        }
    }
    return drawn ? sum / drawn / 3 : null;
}"""
"""How bright what is drawn is, 0 to 255; null where nothing is."""


def brightness(page):
    return [canvas.evaluate(BRIGHTNESS) for canvas in page.locator("canvas").all()]


def complaints(page):
    return [output for output in page.complaints if not output.endswith("/favicon.ico")]


def test_only_staff_see_the_charts_and_the_list_of_backups(demo, visit):
    first = demo.backup()
    made = [first, demo.backup(), demo.backup_media(), demo.backup_media()]
    demo.restore(first)

    page = visit("looks", locale="fr")
    assert page.answer.status == 200
    assert page.inner_text("h1") == "Sauvegardes"
    listed = page.locator("#korrigo-list .korrigo-name").all_inner_texts()
    assert sorted(listed) == sorted(path.name for path in made)
    proven = page.locator("#korrigo-list tr", has_text=first.name)
    assert "restaurée" in proven.inner_text()
    assert f"restauration\N{NO-BREAK SPACE}: {first.name}" in page.inner_text("#korrigo-runs")
    assert page.locator("canvas").count() == 2  # database and media
    light = brightness(page)
    assert None not in light
    page.emulate_media(color_scheme="dark")  # drawn anew, the grid (which is most of it) in dark colours
    until(lambda: all(before - after > 50 for before, after in zip(light, brightness(page), strict=True)))
    assert complaints(page) == []  # nothing that the content security policy keeps out

    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")
    page.get_by_role("link", name="Médias", exact=True).click()
    assert page.locator("#korrigo-list tbody tr").count() == 2

    assert visit("other").answer.status == 403
    assert "/admin/login/" in visit().url


def test_the_static_files_take_hashed_names(demo):
    demo.settings(
        'STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}'
    )
    demo.run([*shlex.split(MANAGE), "collectstatic", "--no-input"], env={"STATIC_ROOT": str(demo.home / "static")})
    assert list((demo.home / "static" / "korrigo_backup" / "vendor" / "chart.js").glob("chart.umd.min.*.js"))
