"""The admin pages by the rules of axe-core: three widths, light and dark, both languages; no table that is cut."""

from datetime import UTC, datetime, timedelta

from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import warning
from korrigo_backup.retention.hold import Hold
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.model import ArtifactCopy, Beside, Goals, TargetCopies
from korrigo_backup.status.published import encode
from pagerules import problems
from standings import NOW, backup, facts, ran

LANGUAGES = ("en", "fr")


def test_axe_finds_nothing_on_the_list_and_on_the_pages_of_backups(demo, visit, axe):
    demo.korrigo("backup", "full")
    demo.korrigo("backup", "full")
    demo.korrigo("drill", "latest-point")
    demo.korrigo("hold", "add", "latest", "--reason", "an appeal")
    globs = ("restore_point_*.json", "db_backup_2*.gz", "media_backup_2*.gz")
    names = [max(path.name for path in demo.backups.glob(glob)) for glob in globs]
    for language in LANGUAGES:
        page = visit("looks", locale=language)
        assert problems(axe, page) == []
        here = page.url
        for name in names:
            assert page.goto(f"{here}backup/{name}/").status == 200
            assert page.get_attribute("html", "lang") == language
            assert (name, problems(axe, page)) == (name, [])
        assert [text for text in page.complaints if not text.endswith("/favicon.ico")] == []


def test_axe_finds_nothing_on_a_page_of_two_hundred_backups_with_every_sort_of_finding(demo, visit, axe):
    publish(demo, busy())
    for language in LANGUAGES:
        page = visit("looks", locale=language)
        assert page.locator("#korrigo-attention li").count() >= 8
        assert page.locator("#korrigo-attention li:not(:has(code))").count() == 0  # each line names a command
        assert problems(axe, page) == []
        page.locator("#korrigo-list a.korrigo-name").first.click()
        page.wait_for_selector("#korrigo-commands")
        assert problems(axe, page) == []


def test_axe_finds_nothing_on_a_page_without_backups(demo, visit, axe):
    publish(demo, facts(scheduled=False))
    for language in LANGUAGES:
        page = visit("looks", locale=language)
        assert page.locator("#content-main table").count() == 0
        assert "korrigo-backup schedule install" in page.inner_text(".korrigo-cards")
        assert problems(axe, page) == []


def publish(demo, seen):
    """Put the document of a host in the place of the backup directory."""
    demo.backups.rmdir()
    demo.backups.write_bytes(encode(seen, Goals()))


def busy():
    """Two hundred backups of three kinds, long names and texts, and findings of each sort."""
    since = (datetime.now(UTC) - NOW) / timedelta(hours=-1)
    ago = [since + 30 + 8 * number for number in range(67)]
    made = [
        *(backup(hours, size=10**9 + 10**6 * number) for number, hours in enumerate(ago)),
        *(backup(hours - 1, kind=Kind.MEDIA, size=7 * 10**9) for hours in ago),
        *(backup(hours - 2, origin=Origin.SAFETY) for hours in ago[:64]),
        backup(since + 40, authenticity=Authenticity.FORGED),
        backup(
            since + 41,
            source=None,
            problem="the manifest /srv/backups/a-directory-with-a-very-long-name.json cannot be read",
        ),
        backup(since + 42, site="another-site-with-a-long-name"),
    ]
    name = made[0].name
    copies = tuple(
        ArtifactCopy(name=name, sent=NOW, read=NOW if place else None, sealed=True, bad="" if place else "bytes differ")
        for place in range(2)
    )
    runs = [
        ran(since + 60, verb="drill", subject=made[1].name),
        ran(since + 50, verb="restore", subject=name, steps=["restore.proven"], seconds=95.0, downtime=3.5),
        ran(since + 40, verb="incident", subject="staging", why={"found": "7", "tried": "8", "seed": "1"}),
        ran(
            since + 30,
            verb="verify",
            subject=made[1].name,
            outcome=Outcome.FAILED,
            exit_code=9,
            message="its checksum differs",
        ),
        ran(since + 6, outcome=Outcome.FAILED, exit_code=1, message="No space left on device: " + "x" * 120),
    ]
    return facts(
        *made,
        records=tuple(runs),
        scheduled=False,
        open_mode=0o755,
        free=4 * 10**9,
        shared_disk=True,
        stopped=True,
        holds=(Hold(name=name, reason="an appeal before the administrative court", holder="the head", since=NOW),),
        kept=(Beside(("v_before_20260204_030000",), NOW),),
        targets=(
            TargetCopies(name="object-storage-in-another-country", copies=copies),
            TargetCopies(name="nas", off_site=False),
        ),
        canary=(
            warning("canary.rows", "public.exams_copy lost 40 % of its rows", f"see it: korrigo-backup compare {name}"),
        ),
    )
