"""The questions of auditors about backups, each answered with the evidence of this site: met, not met, not known.

The sources are in docs/reference/compliance.md, the wording is our own. A question that data cannot answer is answered
"not known": a person answers it.

One file: a question and its answer are read together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.report.model import DrillOutcome, Figure, Mark, Page, PageTable, Part
from korrigo_backup.report.tongue import Tongue, day, in_french, minute
from korrigo_backup.run.record import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from korrigo_backup.report.model import DrillResult, Period, RecoveryTargets
    from korrigo_backup.status.model import Status

_YEAR = timedelta(days=366)
_DAY = 86400.0
_MONTH = timedelta(days=31)
_FORECAST_BACKUPS = 4
"""Good backups below which the status has no forecast of the space."""


class AuditAnswer(StrEnum):
    """The answer to a question."""

    MET = "met"
    NOT_MET = "not met"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class AuditEvidence:
    """The evidence: the status, the period, all drills, and the choices of the configuration.

    `stated` is whether the site has set its own recovery targets. `sealed` has the names of targets with sealed copies.
    """

    status: Status
    period: Period
    drills: Sequence[DrillResult]
    targets: RecoveryTargets
    stated: bool
    sealed: Sequence[str] = ()


@dataclass(frozen=True)
class Answered:
    """A question with its source, its answer and the evidence in words."""

    source: str
    question: str
    answer: AuditAnswer
    evidence: str


_Given = tuple[AuditAnswer, str]


def answers(evidence: AuditEvidence, lang: str) -> tuple[Answered, ...]:
    """Return every question with its answer, in the order of the sources."""
    t = Tongue(lang)
    return tuple(
        Answered(source, t(english, french), *answer(evidence, t)) for source, english, french, answer in _QUESTIONS
    )


def compliance_page(evidence: AuditEvidence, *, site: str, environment: str, lang: str) -> Page:
    """Return the page of the questions of auditors."""
    t = Tongue(lang)
    found = answers(evidence, lang)
    marks = {AuditAnswer.MET: Mark.GOOD, AuditAnswer.NOT_MET: Mark.BAD, AuditAnswer.NOT_KNOWN: Mark.UNKNOWN}
    names = {
        AuditAnswer.MET: t("met", "satisfait"),
        AuditAnswer.NOT_MET: t("not met", "non satisfait"),
        AuditAnswer.NOT_KNOWN: t("not known", "inconnu"),
    }
    sources = list(dict.fromkeys(one.source.split(" — ")[0] for one in found))
    header = (t("Point", "Point"), t("Question", "Question"), "", t("Answer", "Réponse"), t("Evidence", "Preuve"))
    return Page(
        lang=lang,
        title=t("Backup Compliance Report", "Rapport de conformité des sauvegardes"),
        facts=(
            (t("Site", "Site"), site),
            (t("Environment", "Environnement"), environment),
            (t("Period", "Période"), f"{day(evidence.period.begin)} – {minute(evidence.period.end)}"),
        ),
        figures=tuple(
            Figure(names[answer].capitalize(), str(sum(one.answer is answer for one in found)), mark=marks[answer])
            for answer in AuditAnswer
        ),
        parts=tuple(
            Part(
                source,
                table=PageTable(
                    header,
                    tuple(
                        (one.source.split(" — ")[1], one.question, marks[one.answer], names[one.answer], one.evidence)
                        for one in found
                        if one.source.startswith(f"{source} — ")
                    ),
                ),
            )
            for source in sources
        ),
        foot=t(
            "The questions are in our own words; the texts of the sources bind. The evidence is the journal, the"
            " manifests and the configuration of this site; copies, space and modes are those of today. This page"
            " is no legal advice and no certificate.",
            "Les questions sont dans nos propres mots ; les textes des sources font foi. Les preuves sont le journal,"
            " les manifestes et la configuration de ce site ; copies, espace et droits sont ceux d'aujourd'hui."
            " Cette page n'est ni un avis juridique ni un certificat.",
        ),
    )


def _met(condition: object, text: str) -> _Given:
    return (AuditAnswer.MET if condition else AuditAnswer.NOT_MET), text


def _a_person(_: AuditEvidence, t: Tongue) -> _Given:
    return AuditAnswer.NOT_KNOWN, t(
        "outside the data of this program: a person answers", "hors des données de ce programme : une personne répond"
    )


def _copies(e: AuditEvidence, t: Tongue) -> _Given:
    copies = e.status.copies
    text = t(
        f"{counted(copies.places, 'place')} with the data, {copies.off_site} off site",
        f"données : {in_french(copies.places, 'emplacement')}, {copies.off_site} hors site",
    )
    return _met(e.status.good and (copies.off_site or (copies.supports or 0) > 1), text)


def _recovery_times(e: AuditEvidence, t: Tongue) -> _Given:
    measured = e.period.measured_rto
    text = t(
        f"longest recovery {t.duration(measured)}, target {t.duration(e.targets.rto)}",
        f"restauration la plus longue {t.duration(measured)}, objectif {t.duration(e.targets.rto)}",
    )
    if measured is None:
        return AuditAnswer.NOT_KNOWN, t("no recovery was measured in the period", "aucune restauration mesurée")
    return _met(measured <= e.targets.rto, text)


def _complete(e: AuditEvidence, t: Tongue) -> _Given:
    bad = [one for one in e.period.drills if one.verdict is DrillOutcome.FAILED]
    if not e.period.passed and not bad:
        return AuditAnswer.NOT_MET, t(
            "no backup was loaded and compared with the saved data in the period",
            "aucune sauvegarde n'a été chargée et comparée dans la période",
        )
    text = t(
        f"{counted(len(e.period.passed), 'load')} equal to the saved data row by row, {len(bad)} not",
        f"chargements égaux aux données ligne à ligne : {len(e.period.passed)}, différents : {len(bad)}",
    )
    return _met(not bad or (e.period.passed and e.period.passed[-1].at > bad[-1].at), text)


def _elsewhere(e: AuditEvidence, t: Tongue) -> _Given:
    off = e.status.copies.off_site
    return _met(
        off,
        t(
            f"whole and off site: {counted(off, 'copy', 'copies')}; the distance is for a person to judge",
            f"{in_french(off, 'copie complète')} hors site ; une personne juge de la distance",
        ),
    )


def _access(e: AuditEvidence, t: Tongue) -> _Given:
    mode, unsealed = e.status.facts.open_mode, [x.name for x in e.status.facts.targets if x.name not in e.sealed]
    private = t("the backup directory is private", "le répertoire des sauvegardes est privé")
    open_ = t("others may look into the backup directory", "d'autres ont accès au répertoire des sauvegardes")
    seals = t(
        f"copies not sealed: {', '.join(unsealed) or 'none'}",
        f"copies non scellées : {', '.join(unsealed) or 'aucune'}",
    )
    return _met(
        e.status.good and mode is None and not unsealed, f"{private if mode is None else open_}{t('; ', ' ; ')}{seals}"
    )


def _restoring(e: AuditEvidence, t: Tongue) -> _Given:
    count = len(e.period.passed) + len(e.period.restores)
    last = e.period.passed[-1] if e.period.passed else None
    text = t(f"restores and drills in the period: {count}", f"restaurations et exercices dans la période : {count}")
    return _met(count, f"{text}{f', {minute(last.at)} {last.subject}' if last else ''}")


def _retention(e: AuditEvidence, t: Tongue) -> _Given:
    policy = e.status.goals.policy
    rules = {"database": policy.database, "media": policy.media, "complete": policy.complete}
    off = [name for name, rule in rules.items() if rule.off]
    days = ", ".join(f"{name} {rule.days}" for name, rule in rules.items() if rule.days)
    return _met(
        not off,
        t(
            f"days kept: {days or 'by calendar rules'}; without a rule: {', '.join(off) or 'none'}",
            f"jours de conservation : {days or 'par calendrier'} ; sans règle : {', '.join(off) or 'aucune'}",
        ),
    )


def _integrity(e: AuditEvidence, t: Tongue) -> _Given:
    made = [one for one in e.period.backups if one.outcome in {Outcome.DONE, Outcome.PARTLY}]
    bad = [one for one in e.status.failing if one.exit_code == 9]  # noqa: PLR2004 - the code of a failed proof
    text = t(
        f"{counted(len(made), 'backup')} read back by SHA-256 when made, {len(e.period.verifications)} verified later;"
        f" {len(bad)} bad now",
        f"{in_french(len(made), 'sauvegarde relue')} par SHA-256 à leur création, vérifiées ensuite :"
        f" {len(e.period.verifications)} ; mauvaises : {len(bad)}",
    )
    return _met((made or e.period.verifications) and not bad, text)


def _tested_monthly(e: AuditEvidence, t: Tongue) -> _Given:
    times = [e.period.begin, *(one.at for one in e.period.passed), e.period.end]
    longest = max((later - former for former, later in pairwise(times)), default=timedelta())
    days = e.status.goals.proof_days
    passed, without = len(e.period.passed), t.duration(longest.total_seconds())
    text = t(
        f"{counted(passed, 'drill')} passed; longest time without a drill {without}, goal {t.duration(days * _DAY)}",
        f"{in_french(passed, 'exercice réussi')} ; plus long intervalle sans exercice {without}, objectif"
        f" {t.duration(days * _DAY)}",
    )
    return _met(e.period.passed and longest <= max(timedelta(days=days), _MONTH), text)


def _tested_yearly(e: AuditEvidence, t: Tongue) -> _Given:
    since = e.period.end - _YEAR
    tests = [one for one in e.drills if one.verdict is DrillOutcome.PASSED and since <= one.at < e.period.end]
    if not tests:
        return AuditAnswer.NOT_MET, t("no test of restoration in the last year", "aucun test de restauration en un an")
    return AuditAnswer.MET, t(
        f"{counted(len(tests), 'test')} in the last year, the last {day(tests[-1].at)}",
        f"{in_french(len(tests), 'test')} en un an, le dernier {day(tests[-1].at)}",
    )


def _scheduled(e: AuditEvidence, t: Tongue) -> _Given:
    made = len(e.period.backups)
    words = {True: t("yes", "oui"), False: t("no", "non"), None: t("not known", "inconnu")}
    installed = words[e.status.facts.scheduled]
    text = t(
        f"{counted(made, 'backup')} in the period; schedule installed: {installed}",
        f"{in_french(made, 'sauvegarde')} dans la période ; planification installée : {installed}",
    )
    return _met(made and e.status.facts.scheduled is not False, text)


def _survives(e: AuditEvidence, t: Tongue) -> _Given:
    count = e.status.copies.immutable
    if not count and e.status.copies.off_site:
        return AuditAnswer.NOT_KNOWN, t(
            "a copy off site, and no retention read back: whether it is offline is not known",
            "copie hors site sans rétention relue : hors ligne ou non, inconnu",
        )
    return _met(
        count,
        t(
            f"{counted(count, 'copy', 'copies')} with a retention that was read back (Object Lock)",
            f"{in_french(count, 'copie')} avec une rétention relue (Object Lock)",
        ),
    )


def _targets_stated(e: AuditEvidence, t: Tongue) -> _Given:
    text = f"RPO {t.duration(e.targets.rpo)}, RTO {t.duration(e.targets.rto)}"
    if not e.stated:
        return AuditAnswer.NOT_KNOWN, t(
            f"defaults of the program: {text}; set [report] rpo and rto",
            f"valeurs par défaut : {text} ; fixer [report] rpo et rto",
        )
    return AuditAnswer.MET, text


def _sized(e: AuditEvidence, t: Tongue) -> _Given:
    space, backups = e.status.space, sum(good.count for good in e.status.good)
    if space is None or (space.full_in_days is None and backups < _FORECAST_BACKUPS):
        return AuditAnswer.NOT_KNOWN, t(
            "not enough backups for a forecast", "pas assez de sauvegardes pour une prévision"
        )
    days = space.full_in_days
    free = f"{space.free_part:.0%}"
    if days is None:
        text = t(f"{free} free, not full within two years", f"{free} libres, pas plein avant deux ans")
    else:
        text = t(
            f"{free} free, full in about {counted(days, 'day')}",
            f"{free} libres, plein dans environ {in_french(days, 'jour')}",
        )
    return _met(days is None or days > _MONTH.days, text)


def _often(e: AuditEvidence, t: Tongue) -> _Given:
    measured = e.period.measured_rpo
    if measured is None:
        return AuditAnswer.NOT_MET, t("no backup of the database in the period", "aucune sauvegarde de la base")
    return _met(
        measured <= e.targets.rpo * 1.1,
        t(
            f"longest time without a backup {t.duration(measured)}, target {t.duration(e.targets.rpo)}",
            f"plus long intervalle sans sauvegarde {t.duration(measured)}, objectif {t.duration(e.targets.rpo)}",
        ),
    )


def _all(*parts: Callable[[AuditEvidence, Tongue], _Given]) -> Callable[[AuditEvidence, Tongue], _Given]:
    def answer(e: AuditEvidence, t: Tongue) -> _Given:
        given = [part(e, t) for part in parts]
        found = [answer for answer, _ in given]
        worst = next((one for one in (AuditAnswer.NOT_MET, AuditAnswer.NOT_KNOWN) if one in found), AuditAnswer.MET)
        return worst, t("; ", " ; ").join(text for _, text in given)

    return answer


def _corrected(e: AuditEvidence, t: Tongue) -> _Given:
    bad = [one for one in e.period.drills if one.verdict is not DrillOutcome.PASSED]
    if not bad:
        return _met(
            e.period.drills,
            t(
                f"{counted(len(e.period.drills), 'drill')}, none failed",
                f"{in_french(len(e.period.drills), 'exercice')}, aucun échec",
            ),
        )
    later = [one for one in e.period.passed if one.at > bad[-1].at]
    return _met(
        later,
        t(
            f"{counted(len(bad), 'drill')} did not pass, the last {day(bad[-1].at)}; passed since: {len(later)}",
            f"sans succès : {in_french(len(bad), 'exercice')}, le dernier {day(bad[-1].at)} ; réussis depuis :"
            f" {len(later)}",
        ),
    )


def _three_two_one(e: AuditEvidence, t: Tongue) -> _Given:
    copies = e.status.copies
    return _met(
        copies.places > 2 and (copies.supports or 0) > 1 and copies.off_site,  # noqa: PLR2004 - 3-2-1
        t(
            f"places: {copies.places}, supports: {copies.supports}, off site: {copies.off_site}",
            f"emplacements : {copies.places}, supports : {copies.supports}, hors site : {copies.off_site}",
        ),
    )


_NIS2, _RECYF = "NIS 2, (EU) 2024/2690, annex 4.2", "ReCyF 2.5 (ANSSI)"
_CNIL, _ISO, _ENISA = "CNIL, guide 2024, 17", "ISO/IEC 27001:2022", "ENISA guidance, examples of evidence"

_QUESTIONS: tuple[tuple[str, str, str, Callable[[AuditEvidence, Tongue], _Given]], ...] = (
    (f"{_NIS2} — 4.2.1", "Are copies of the data kept, apart from the system?",
     "Des copies des données sont-elles conservées, à part du système ?", _copies),
    (f"{_NIS2} — 4.2.2 (a)", "Are recovery times set and kept?",
     "Les délais de rétablissement sont-ils fixés et tenus ?", _recovery_times),
    (f"{_NIS2} — 4.2.2 (b)", "Are the copies shown to be complete and exact?",
     "Est-il prouvé que les copies sont complètes et exactes ?", _complete),
    (f"{_NIS2} — 4.2.2 (c)", "Are copies in a safe place, on another network and far enough away?",
     "Des copies sont-elles en lieu sûr, sur un autre réseau et assez loin ?", _elsewhere),
    (f"{_NIS2} — 4.2.2 (d)", "Is access to the copies limited (files and copies)?",
     "L'accès aux copies est-il limité (fichiers et copies) ?", _access),
    (f"{_NIS2} — 4.2.2 (d)", "Is access limited in the rooms?", "L'accès physique est-il limité ?", _a_person),
    (f"{_NIS2} — 4.2.2 (e)", "Were data restored from copies?",
     "Des données ont-elles été restaurées depuis des copies ?", _restoring),
    (f"{_NIS2} — 4.2.2 (f)", "Is it set how long copies stay?", "Les durées de conservation sont-elles fixées ?",
     _retention),
    (f"{_NIS2} — 4.2.3", "Is the integrity of the copies checked regularly?",
     "L'intégrité des copies est-elle contrôlée régulièrement ?", _integrity),
    (f"{_NIS2} — 4.2.4", "Are systems, sites, staff and channels redundant?",
     "Systèmes, sites, personnel et canaux sont-ils redondants ?", _a_person),
    (f"{_NIS2} — 4.2.5", "Do the needs of backup guide the resources?",
     "Les besoins de sauvegarde guident-ils les ressources ?", _sized),
    (f"{_NIS2} — 4.2.6", "Are recoveries tested regularly, documented and corrected?",
     "Les restaurations sont-elles testées régulièrement, documentées et corrigées ?",
     _all(_tested_monthly, _corrected)),
    (f"{_RECYF} — 13.1", "Are procedures of backup and restore in use?",
     "Des procédures de sauvegarde et de restauration sont-elles en œuvre ?", _scheduled),
    (f"{_RECYF} — 13.2", "Were backup and restore tested within a year?",
     "Sauvegarde et restauration ont-elles été testées depuis un an ?", _tested_yearly),
    (f"{_RECYF} — 13.3", "Do copies survive ransomware (offline, immutable)?",
     "Des copies survivent-elles à un rançongiciel (hors ligne, immuables) ?", _survives),
    (f"{_RECYF} — 13.4", "Are the accepted outage and loss of data set (DMIA, PRD)?",
     "La durée d'interruption et la perte de données admissibles sont-elles fixées (DMIA, PRD) ?", _targets_stated),
    (f"{_RECYF} — 13.5", "Is there room enough for the backups?",
     "Les sauvegardes ont-elles la place voulue ?", _sized),
    (f"{_RECYF} — 13.6", "Are there plans of continuity and recovery (PCA, PRA)?",
     "Existe-t-il des plans de continuité et de reprise (PCA, PRA) ?", _a_person),
    (f"{_CNIL} — 17.1", "Are backups made regularly?", "Les sauvegardes sont-elles régulières ?", _often),
    (f"{_CNIL} — 17.2", "Are backups protected in storage and transport?",
     "Les sauvegardes sont-elles protégées, stockées et transportées ?", _access),
    (f"{_CNIL} — 17.3", "Are restores and integrity tested regularly?",
     "Restauration et intégrité sont-elles testées régulièrement ?", _all(_integrity, _tested_monthly)),
    (f"{_ISO} — A.8.13", "Are copies kept and tested by the site's own policy?",
     "Les copies sont-elles tenues et testées selon la politique du site ?",
     _all(_often, _retention, _tested_monthly)),
    (f"{_ENISA} — 4.2.3", "Reports of checksums", "Rapports de sommes de contrôle", _integrity),
    (f"{_ENISA} — 4.2.3", "Records of tests in which data were restored",
     "Traces de tests où des données ont été restaurées", _restoring),
    (f"{_ENISA} — 4.2.3", "Tests of several scenarios, with single files",
     "Tests de plusieurs scénarios, dont des fichiers seuls", _a_person),
    (f"{_ENISA} — 4.2.6", "Reports of drills in which recovery times were met",
     "Rapports d'exercices où les délais ont été tenus", _all(_restoring, _recovery_times)),
    (f"{_ENISA} — 4.2.6", "Issues of past tests that were corrected",
     "Problèmes de tests passés, corrigés", _corrected),
    (f"{_ENISA} — 4.2.6", "The 3-2-1 rule", "La règle 3-2-1", _three_two_one),
    (f"{_ENISA} — 4.2.6", "Roles, templates and a programme of tests",
     "Rôles, modèles et programme de tests", _a_person),
)  # fmt: skip
