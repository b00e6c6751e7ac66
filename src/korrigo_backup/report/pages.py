"""The pages of the reports: of a drill (runbook 6.4), and of a period."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from korrigo_backup.core.size import human
from korrigo_backup.report.model import Bullet, Chart, DrillOutcome, Figure, Mark, Page, PageTable, Part
from korrigo_backup.report.tongue import Tongue, day, minute
from korrigo_backup.run.record import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from korrigo_backup.report.model import BackupContent, DrillResult, Period, RecoveryTargets
    from korrigo_backup.run.record import Record

_MOST = 50
"""Rows of a table; the journal has all."""


def drill_page(
    drill: DrillResult, history: Sequence[DrillResult], targets: RecoveryTargets, *, environment: str, lang: str
) -> Page:
    """Return the page of a drill, under the headings of the runbook."""
    t = Tongue(lang)
    return Page(
        lang=lang,
        title="Disaster Recovery Test Report",
        facts=(
            ("Date", day(drill.at)),
            (t("Tester", "Testeur"), drill.by),
            (t("Environment", "Environnement"), environment),
        ),
        verdict=_verdict(drill, t),
        figures=(*_restored_from(drill, t), *_measured(drill.lost_seconds, drill.seconds, targets, t)),
        parts=(
            Part(t("Summary", "Résumé"), bullets=_summary(drill, t)),
            Part(t("Details", "Détails"), bullets=_details(drill, targets, t)),
            Part(
                t("Problems", "Problèmes Rencontrés"),
                bullets=(Bullet(drill.message, Mark.BAD),) if drill.message else (),
                empty=t("None", "Aucun"),
            ),
            Part(t("Recommendations", "Recommandations"), bullets=_advice(drill, targets, t)),
            Part(
                t("History", "Historique"),
                table=_drill_table(history, t),
                charts=_charts((), history, targets, t),
                empty=t("no drill before", "aucun exercice auparavant"),
            ),
        ),
    )


def period_page(period: Period, targets: RecoveryTargets, *, site: str, environment: str, lang: str) -> Page:
    """Return the page of a period."""
    t = Tongue(lang)
    last = period.passed[-1] if period.passed else None
    good = sum(one.outcome in {Outcome.DONE, Outcome.PARTLY} for one in period.backups)
    done = Bullet(
        t(f"Backups: {good} of {len(period.backups)} made", f"Sauvegardes : {good} sur {len(period.backups)} réussies"),
        Mark.GOOD if period.backups and good == len(period.backups) else Mark.BAD,
    )
    counts = Counter(one.verdict for one in period.drills)
    tests = Bullet(
        t(
            f"Drills: {counts[DrillOutcome.PASSED]} passed, {counts[DrillOutcome.FAILED]} failed,"
            f" {counts[DrillOutcome.ERROR]} not possible",
            f"Exercices de restauration réussis : {counts[DrillOutcome.PASSED]},"
            f" échoués : {counts[DrillOutcome.FAILED]}, impossibles : {counts[DrillOutcome.ERROR]}",
        ),
        Mark.GOOD if counts[DrillOutcome.PASSED] and not counts[DrillOutcome.FAILED] else Mark.BAD,
    )
    restored = t(
        f"Restores of the live site: {len(period.restores)}", f"Restaurations du site : {len(period.restores)}"
    )
    return Page(
        lang=lang,
        title=t("Backup and Restore Report", "Rapport de sauvegarde et de restauration"),
        facts=(
            (t("Site", "Site"), site),
            (t("Environment", "Environnement"), environment),
            (t("Period", "Période"), f"{day(period.begin)} – {minute(period.end)}"),
        ),
        verdict=_last_verdict(period, t),
        figures=(
            *(_restored_from(last, t) if last else ()),
            *_measured(period.measured_rpo, period.measured_rto, targets, t),
        ),
        parts=(
            Part(t("Summary", "Résumé"), bullets=(done, tests, Bullet(restored))),
            Part(t("Measured", "Mesures"), charts=_charts(period.gaps, period.drills, targets, t),
                 empty=t("nothing was measured", "aucune mesure")),
            Part(t("Drills", "Exercices de restauration"), table=_drill_table(period.drills, t),
                 empty=t("None", "Aucun")),
            Part(t("Problems", "Problèmes rencontrés"), table=_problems(period.problems, t), empty=t("None", "Aucun")),
            Part(t("Who decided", "Qui a décidé"), table=_decisions(period.decisions, t), empty=t("None", "Aucune")),
        ),
    )  # fmt: skip


def _verdict(drill: DrillResult, t: Tongue) -> tuple[str, Mark]:
    words = {
        DrillOutcome.PASSED: (t("passed", "réussi"), Mark.GOOD),
        DrillOutcome.FAILED: (t("failed", "échoué"), Mark.BAD),
        DrillOutcome.ERROR: (t("not possible", "impossible"), Mark.UNKNOWN),
    }
    return words[drill.verdict]


def _last_verdict(period: Period, t: Tongue) -> tuple[str, Mark]:
    if not period.drills:
        return t("no drill in the period", "aucun exercice dans la période"), Mark.BAD
    text, mark = _verdict(period.drills[-1], t)
    return t(f"last drill: {text}", f"dernier exercice : {text}"), mark


def _restored_from(drill: DrillResult, t: Tongue) -> tuple[Figure, ...]:
    content, proven = drill.content, drill.verdict is DrillOutcome.PASSED
    mark = Mark.GOOD if proven else Mark.BAD
    if content is None:
        gone = t("the backup was removed since", "la sauvegarde a été supprimée depuis")
        return (Figure(t("Restored from", "Restauré depuis"), drill.subject, gone, Mark.UNKNOWN),)
    figures = [Figure(t("Restored from", "Restauré depuis"), minute(content.created), content.name, mark)]
    if content.rows is not None:
        what = t("proven", "prouvées") if proven else t("not proven", "non prouvées")
        figures.append(Figure(t("Rows", "Lignes"), t.count(content.rows), what, mark))
    if content.files is not None:
        what = t("proven", "prouvés") if proven else t("not proven", "non prouvés")
        figures.append(Figure(t("Files", "Fichiers"), t.count(content.files), what, mark))
    return tuple(figures)


def _measured(rpo: float | None, rto: float | None, targets: RecoveryTargets, t: Tongue) -> tuple[Figure, Figure]:
    names = (("RPO", rpo, targets.rpo), ("RTO", rto, targets.rto))
    first, second = (
        Figure(
            f"{name} {t('measured', 'mesuré')}",
            t.duration(seconds),
            f"{t('target', 'objectif')} {t.duration(target)}",
            Mark.UNKNOWN if seconds is None else Mark.GOOD if seconds <= target else Mark.BAD,
        )
        for name, seconds, target in names
    )
    return first, second


def _summary(drill: DrillResult, t: Tongue) -> tuple[Bullet, ...]:
    content = drill.content
    what = _what(content)
    made = t("Backup made", "Backup créé")
    state = f"{made}: {human(content.size)} ({what})" if content else f"{made}: {drill.subject}"
    time = f"{t('Restore time', 'Temps de restore')}: {t.duration(drill.seconds)}"
    passed = drill.verdict is DrillOutcome.PASSED
    words = {
        DrillOutcome.PASSED: t("Complete validation passed", "Validation complète passée"),
        DrillOutcome.FAILED: t("Validation failed", "Validation échouée"),
        DrillOutcome.ERROR: t("The test could not be made", "L'exercice n'a pas pu être fait"),
    }
    mark = Mark.GOOD if passed else Mark.BAD
    return (Bullet(state, Mark.GOOD), Bullet(time, mark), Bullet(words[drill.verdict], mark))


def _what(content: BackupContent | None) -> str:
    names = [] if content is None else [("DB", content.rows), ("media", content.files)]
    return " + ".join(name for name, count in names if count is not None)


def _details(drill: DrillResult, targets: RecoveryTargets, t: Tongue) -> tuple[Bullet, ...]:
    content, passed = drill.content, drill.verdict is DrillOutcome.PASSED
    tables, rows = (
        (t("Tables restored", "Tables restaurées"), t("Rows proven", "Lignes prouvées"))
        if passed
        else (t("Tables in the backup", "Tables de la sauvegarde"), t("Rows in the backup", "Lignes de la sauvegarde"))
    )
    known: tuple[tuple[str, int | None], ...] = (
        (tables, content.tables if content else None),
        (rows, content.rows if content else None),
        (t("Users", "Utilisateurs"), content.users if content else None),
        (t("Media files", "Fichiers média"), content.files if content else None),
    )
    lines = [f"{label}: {t.count(count)}" for label, count in known if count is not None]
    none = t("none, the test runs beside the site", "aucun, l'exercice se fait à côté du site")
    down = t.duration(drill.seconds) if drill.is_disaster else none
    lines.append(f"{t('Simulated downtime', 'Downtime simulé')}: {down}")
    lines.append(f"{t('Backup', 'Sauvegarde')}: {drill.subject}")
    for name, seconds, target in (("RPO", drill.lost_seconds, targets.rpo), ("RTO", drill.seconds, targets.rto)):
        goal = f"{t('target', 'objectif')} {t.duration(target)}"
        lines.append(f"{name} {t('measured', 'mesuré')}: {t.duration(seconds)} ({goal})")
    return tuple(Bullet(line) for line in lines)


def _advice(drill: DrillResult, targets: RecoveryTargets, t: Tongue) -> tuple[Bullet, ...]:
    if drill.verdict is DrillOutcome.FAILED:
        return (Bullet(t("do not rely on this backup: make another and test it",
                         "ne pas compter sur cette sauvegarde : en faire une autre et la tester")),)  # fmt: skip
    if drill.verdict is DrillOutcome.ERROR:
        return (
            Bullet(
                t(
                    "give the test its place, then repeat it",
                    "libérer la place qu'il faut à l'exercice, puis le refaire",
                )
            ),
        )
    over = []
    if drill.seconds is not None and drill.seconds > targets.rto:
        over.append(t("the recovery takes longer than its target", "la restauration dépasse son objectif"))
    if drill.lost_seconds is not None and drill.lost_seconds > targets.rpo:
        over.append(t("more data would be lost than the target allows: back up more often",
                      "la perte de données dépasse l'objectif : sauvegarder plus souvent"))  # fmt: skip
    return tuple(map(Bullet, over)) or (Bullet(t("none: the procedure is validated", "RAS - Procédure validée")),)


def _drill_table(drills: Sequence[DrillResult], t: Tongue) -> PageTable | None:
    rows = tuple(
        (
            minute(one.at),
            one.subject,
            _verdict(one, t)[1],
            t.count(one.content.rows) if one.content else "",
            t.count(one.content.files) if one.content and one.content.files is not None else "",
            t.duration(one.seconds),
            one.by,
        )
        for one in list(reversed(drills))[:_MOST]
    )
    header = (
        "Date", t("Backup", "Sauvegarde"), t("Result", "Résultat"), t("Rows", "Lignes"), t("Files", "Fichiers"), "RTO",
        t("By", "Par"),
    )  # fmt: skip
    return PageTable(header, rows) if rows else None


def _charts(
    gaps: Sequence[tuple[datetime, float]], drills: Sequence[DrillResult], targets: RecoveryTargets, t: Tongue
) -> tuple[Chart, ...]:
    lost = tuple(gaps) or tuple((one.at, one.lost_seconds) for one in drills if one.lost_seconds is not None)
    took = tuple((one.at, one.seconds) for one in drills if one.seconds is not None)
    charts = (
        Chart(t("Age of the data at a loss (RPO)", "Âge des données en cas de perte (RPO)"), lost, targets.rpo,
              t("target", "objectif")),
        Chart(t("Recovery time (RTO)", "Temps de restauration (RTO)"), took, targets.rto, t("target", "objectif")),
    )  # fmt: skip
    return tuple(one for one in charts if one.points)


def _problems(records: Sequence[Record], t: Tongue) -> PageTable | None:
    rows = tuple(
        (minute(one.started), f"{one.verb} {one.subject}", _end(one.outcome, t), one.message)
        for one in list(reversed(records))[:_MOST]
    )
    return PageTable(("Date", t("Run", "Opération"), t("End", "Fin"), "Message"), rows) if rows else None


_ENDS = {
    Outcome.BEGUN: ("no end in the journal", "sans fin au journal"),
    Outcome.DONE: ("done", "terminé"),
    Outcome.PARTLY: ("partly", "en partie"),
    Outcome.CANCELLED: ("cancelled", "annulé"),
    Outcome.FAILED: ("failed", "échoué"),
    Outcome.INTERRUPTED: ("interrupted", "interrompu"),
}


def _end(outcome: Outcome, t: Tongue) -> str:
    return t(*_ENDS[outcome])


def _decisions(records: Sequence[Record], t: Tongue) -> PageTable | None:
    rows = tuple(
        (
            minute(one.started),
            one.by,
            f"{one.verb} {one.subject}",
            _end(one.outcome, t),
            ", ".join(f"{name}: {text}" for name, text in one.why.items()),
        )
        for one in list(reversed(records))[:_MOST]
    )
    header = ("Date", t("By", "Par"), t("Run", "Opération"), t("End", "Fin"), t("Reason", "Motif"))
    return PageTable(header, rows) if rows else None
