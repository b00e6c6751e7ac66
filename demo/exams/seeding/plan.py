"""What will be made, decided from the seed alone: no database, no file, no Django.

Every part draws from a random stream of its own, named after its place. So a part can be made in any
order, twice, or in another process, and is the same each time.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

FIRST_EXAM = date(2024, 1, 15)
DAYS_BETWEEN_EXAMS = 41
PAGES_PER_BOOKLET = 4  # a folded A3 sheet


@dataclass(frozen=True)
class Size:
    """How much to make, and from which seed."""

    copies: int
    seed: int = 1
    pages: int = 4
    annotations: int = 160
    events: int = 175

    @property
    def exams(self) -> int:
        """A class of about thirty for each exam."""
        return max(4, self.copies // 30)

    @property
    def students(self) -> int:
        """More students than one exam has copies, so that none sits an exam twice."""
        return max(30, self.copies // 2)

    def stream(self, *place: object) -> random.Random:
        """Return the random stream of one place of the site."""
        return random.Random("/".join(str(part) for part in (self.seed, *place)))


@dataclass(frozen=True)
class Sitting:
    """One exam: its number, key and day."""

    number: int
    id: uuid.UUID
    date: date

    @property
    def archived(self) -> bool:
        """Every fourth exam is archived, hidden from the default manager."""
        return self.number % 4 == 3

    def at(self, *, days: float) -> datetime:
        """Return the moment so many days after the exam's eight o'clock (UTC)."""
        start = datetime(self.date.year, self.date.month, self.date.day, 8, tzinfo=UTC)
        return start + timedelta(days=days)


@dataclass(frozen=True)
class Paper:
    """One copy: its number, key, exam and files."""

    number: int
    id: uuid.UUID
    sitting: Sitting
    size: Size

    @property
    def pdf(self) -> str:
        """Path of the scanned copy, relative to MEDIA_ROOT."""
        return f"copies/{self.sitting.date.year}/copy_{self.id}.pdf"

    def page(self, page: int) -> str:
        """Path of one page's image, relative to MEDIA_ROOT."""
        return f"booklets/{self.id}/page_{page}.jpg"

    def stream(self, *place: object) -> random.Random:
        """Return the random stream of one part of this copy."""
        return self.size.stream("copy", self.number, *place)


def random_uuid(rng: random.Random) -> uuid.UUID:
    """Return a version 4 UUID drawn from the stream."""
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def sitting(size: Size, number: int) -> Sitting:
    """Return the exam of this number."""
    day = FIRST_EXAM + timedelta(days=DAYS_BETWEEN_EXAMS * (number % 24))
    return Sitting(number, random_uuid(size.stream("exam", number)), day)


def papers(size: Size) -> Iterator[Paper]:
    """Yield every copy, dealt to the exams in turn."""
    sittings = [sitting(size, number) for number in range(size.exams)]
    for number in range(size.copies):
        key = random_uuid(size.stream("copy", number))
        yield Paper(number, key, sittings[number % size.exams], size)
