"""Rows about the marking: exams, copies with their booklets, annotations and audit log."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from exams.models import Annotation, Booklet, Copy, Exam, GradingEvent
from exams.seeding.people import TEACHER_IDS
from exams.seeding.plan import PAGES_PER_BOOKLET, Paper, Size, papers, random_uuid, sitting
from exams.seeding.vocabulary import REMARKS, SUBJECTS

MARKING_STARTS = 3  # days after the exam
ANNOTATION_TYPES = Annotation.Type.values
LATER_ACTIONS = GradingEvent.Action.values[1:]
STATUSES = ("graded", "graded", "graded", "locked", "ready", "staging")


def exams(size: Size) -> Iterator[Exam]:
    """Yield the exams, still without teachers and reference copy."""
    for number in range(size.exams):
        rng, day = size.stream("exam", number, "row"), sitting(size, number)
        points = rng.choice(([4, 6, 10], [5, 5, 5, 5], [2.5, 7.5, 10]))
        subject = SUBJECTS[number % len(SUBJECTS)]
        yield Exam(
            id=day.id,
            name=f"{subject} - contrôle n°{number + 1}",
            date=day.date,
            coefficient=Decimal(rng.choice(("0.50", "1.00", "2.25", "7.00"))),
            grading_scheme={
                "exercices": [{"n°": n, "points": value} for n, value in enumerate(points, start=1)],
                "arrondi": 0.25,
                "consignes": None if number % 2 else "Rédaction soignée : jusqu'à -1 pt",
            },
            archived=day.archived,
        )


def teachings(size: Size) -> Iterator[Exam.teachers.through]:
    """Yield three teachers for each exam."""
    for number in range(size.exams):
        for teacher in size.stream("exam", number, "teachers").sample(TEACHER_IDS, 3):
            yield Exam.teachers.through(exam_id=sitting(size, number).id, user_id=teacher)


def finish_exams(size: Size) -> None:
    """Point each exam at its first copy, and set the times that bulk_create took from the clock."""
    first_copies = {paper.sitting.number: paper.id for paper in islice(papers(size), size.exams)}
    for number in range(size.exams):
        exam = sitting(size, number)
        Exam.everything.filter(pk=exam.id).update(
            reference_copy_id=first_copies.get(number),
            created_at=exam.at(days=-20.123456789),
            updated_at=exam.at(days=30.987654321),
        )


def copies(size: Size) -> Iterator[Copy]:
    """Yield the copies; one in twenty belongs to nobody known yet."""
    for paper in papers(size):
        rng, exam = paper.stream("row"), paper.sitting
        place = paper.number // size.exams
        status = rng.choice(STATUSES)
        graded = status == "graded"
        yield Copy(
            id=paper.id,
            exam_id=exam.id,
            student_id=None if paper.number % 20 == 19 else 1 + (place + 29 * exam.number) % size.students,
            pdf=paper.pdf,
            anonymous_id=f"C-{paper.id.hex[:12].upper()}",
            status=status,
            locked_by_id=rng.choice(TEACHER_IDS) if status == "locked" else None,
            graded_at=exam.at(days=MARKING_STARTS + 10 * rng.random()) if graded else None,
            score=Decimal(rng.randrange(81)) / 4 if graded else None,
        )


def booklets(size: Size) -> Iterator[Booklet]:
    """Yield the booklets that make up the copies."""
    pk = 0
    for paper in papers(size):
        for first in range(1, size.pages + 1, PAGES_PER_BOOKLET):
            pk += 1
            last = min(first + PAGES_PER_BOOKLET - 1, size.pages)
            images = [paper.page(page) for page in range(first, last + 1)]
            yield Booklet(id=pk, copy_id=paper.id, first_page=first, last_page=last, pages_images=images)


def annotations(size: Size) -> Iterator[Annotation]:
    """Yield the annotations, copy after copy, each copy by one marker."""
    for paper in papers(size):
        rng = paper.stream("annotations")
        marker, moment = rng.choice(TEACHER_IDS), paper.sitting.at(days=MARKING_STARTS)
        for _ in range(size.annotations):
            moment += timedelta(microseconds=rng.randrange(10**6, 9 * 10**7))
            yield Annotation(
                id=random_uuid(rng),
                copy_id=paper.id,
                page=rng.randint(1, size.pages),
                x=rng.random(),
                y=rng.random(),
                w=rng.random() / 3,
                h=rng.random() / 10,
                content=rng.choice(REMARKS),
                type=rng.choice(ANNOTATION_TYPES),
                score_delta=rng.choice((-2, -1, 0, 0, 0, 1)),
                created_by_id=marker,
                created_at=moment,
            )


def events(size: Size) -> Iterator[GradingEvent]:
    """Yield the audit log; some numbers are missing, as after deletions."""
    pk = 0
    for paper in papers(size):
        rng = paper.stream("events")
        actor, moment = rng.choice(TEACHER_IDS), paper.sitting.at(days=MARKING_STARTS)
        for place in range(size.events):
            pk += 2 if place % 50 == 49 else 1
            moment += timedelta(microseconds=rng.randrange(10**6, 8 * 10**7))
            yield GradingEvent(
                id=pk,
                copy_id=paper.id,
                actor_id=actor,
                action="import" if place == 0 else rng.choice(LATER_ACTIONS),
                timestamp=moment,
                metadata=event_metadata(paper, place, rng.random()),
                duration=timedelta(microseconds=rng.randrange(10**9)) if place % 3 else None,
            )


def event_metadata(paper: Paper, place: int, share: float) -> dict[str, Any]:
    """Return the details of one event: from nothing to nested values, with accents and fine fractions."""
    if place == 0:
        return {"fichier": paper.pdf, "pages": paper.size.pages, "numérisé": True}
    if place % 4 == 0:
        return {}
    if place % 4 == 1:
        return {
            "page": 1 + place % paper.size.pages,
            "zone": {"x": share, "largeur": share / 3},
            "motif": None,
        }
    return {"session": f"poste-{place % 9}", "durée_ms": share * 1000}
