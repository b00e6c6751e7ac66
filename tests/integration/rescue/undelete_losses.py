"""A random loss, and by plain loops the rows that an undelete brings back: no code of the product decides about them."""

from dataclasses import dataclass, field

from integration.rescue.undelete_graphs import (
    APART,
    COLUMNS,
    DO_NOTHING,
    GENERIC,
    LINK,
    PAIR,
    REFERENCES,
    UNHELD,
    UNIQUE,
    Place,
    Rows,
    copied,
    differ,
    edited,
    places,
    referred,
    take_values,
)


@dataclass
class Expected:
    """What an undelete of `roots` does to `live`; `over` are live rows that were named to be overwritten."""

    then: Rows
    live: Rows
    roots: tuple[Place, ...]
    over: frozenset[Place] = frozenset()
    marks: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self):
        parts = {(above, number) for table, number in self.over for above in _above(table)}
        self.old = {one for one in self.over | parts if self._differs(one)}
        self.gone = {one for one in places(self.then) if one[1] not in self.live[one[0]]} | self.old
        self.belongs = self._close(set())

    def _differs(self, place):
        """Whether a row is live with other values than those of the backup."""
        table, number = place
        both = number in self.then[table] and number in self.live[table]
        return both and self.live[table][number] != self.then[table][number]

    def _close(self, barred):
        """Mark the rows that were deleted with a root (2), and those that such rows need (1); return them.

        A pair whose other end stays away stays away, too: it was deleted with either of them.
        """
        self.marks = {one: 2 for one in self.roots if one not in barred}
        changed = True
        while changed:
            changed = False
            for child, column, to, how in REFERENCES:
                for number, row in self.then[child].items():
                    low, high = (child, number), (to, referred(row, column, how))
                    if low not in self.gone - barred or high not in self.gone - barred:
                        continue
                    up, down = self.marks.get(high, 0), self.marks.get(low, 0)
                    deleted_with = how not in APART or low in self.old
                    wanted_low = up if how == LINK else (2 if up == 2 and deleted_with else 0)
                    wanted_high = down if how == LINK else min(down, 1)
                    if child == PAIR and low not in self.roots:
                        wanted_high = 0
                    for place, mark in ((low, wanted_low), (high, wanted_high)):
                        if self.marks.get(place, 0) < mark:
                            self.marks[place] = mark
                            changed = True
        away = self.gone - set(self.marks) - self.old
        for number, row in self.then[PAIR].items():
            if (PAIR, number) not in self.roots and {("node", row["node"]), ("item", row["item"])} & away:
                self.marks.pop((PAIR, number), None)
        return set(self.marks)

    def after(self, rows):
        """The site with some of the rows back."""
        found = copied(self.live)
        for table, number in rows:
            found[table][number] = dict(self.then[table][number])
        return found

    def relinked(self, rows):
        """The site with some of the rows back, and with the emptied references to them set again."""
        found = self.after(rows)
        for child, column, to, how in REFERENCES:
            for number, row in self.then[child].items():
                live = found[child].get(number)
                if how not in {LINK, GENERIC} and live and live[column] is None and (to, row[column]) in rows:
                    live[column] = row[column]
        return found

    def left_out(self, rows):
        """Those of the rows that the live site does not take, as far as the others decide it."""
        found = copied(self.after(rows))
        left = {
            (child, number)
            for child, _, to, how in REFERENCES
            if how == LINK
            for number in self.then[child]
            if (child, number) in rows - self.old and (to, number) not in rows and self._differs((to, number))
        }
        left |= {
            (child, number)
            for child, column, to, how in REFERENCES
            for number, row in self.then[child].items()
            if (child, number) in rows and how not in {GENERIC, UNHELD} and row[column] is not None
            if row[column] not in found[to]
        }
        return left | {
            (table, number)
            for table, _ in UNIQUE
            for number in self.then[table]
            if (table, number) in rows
            and any(n != number and not differ(table, self.then[table][number], o) for n, o in found[table].items())
        }

    def stay(self):
        """The rows that come back if those in conflict are left out."""
        barred = set[Place]()
        while left := self.left_out(rows := self._close(barred)):
            barred |= {one for place in left for one in self._object(place)}
        self._close(set())
        return rows

    def _object(self, place):
        """The parts of an object that are in the backup, by its numbers: those of inheritance have the same one."""
        table, number = place
        family = {table, *_above(table), *(name for name in COLUMNS if table in _above(name))}
        family |= {name for one in family for name in COLUMNS if one in _above(name)}
        return {(name, number) for name in family if number in self.then[name]}

    def taken_texts(self):
        """The rows to come back whose unique text another live row has, each with its column."""
        found = self.after(self.belongs)
        return {
            (table, number): columns[0]
            for table, columns in UNIQUE
            for name, number in self.belongs
            if name == table and len(columns) == 1
            if any(n != number and not differ(table, self.then[table][number], o) for n, o in found[table].items())
        }

    def renamed(self):
        """The same loss with other texts for these rows, as if the backup had them; None if more is in the way."""
        then = copied(self.then)
        for (table, number), column in self.taken_texts().items():
            then[table][number][column] = again(number)
        other = Expected(then, self.live, self.roots, self.over)
        return other if other.stay() == self.belongs and not other.taken() else None

    def exchanges_pairs(self):
        """Whether a pair that is overwritten gets the values of another such pair: the order of the rows decides.

        Its columns refer to other rows, so that no value is free for a moment.
        """
        pairs = [number for table, number in self.old if table == PAIR]
        return any(
            one != other and not differ(PAIR, self.then[PAIR][one], self.live[PAIR][other])
            for one in pairs
            for other in pairs
        )

    def taken(self):
        """Whether a live row, once deleted with these rows, refers to other rows now: nobody can tell whose it is."""
        return any(
            (to, referred(row, column, how)) in self.belongs
            and self.marks[to, referred(row, column, how)] == 2
            and (live := self.live[child].get(number)) is not None
            and (child, number) not in self.belongs
            and live[column] is not None
            and referred(live, column, how) != referred(row, column, how)
            for child, column, to, how in REFERENCES
            if how not in {LINK, DO_NOTHING, *APART}
            for number, row in self.then[child].items()
        )


def again(number):
    """The new text of a row, in the place of a taken text."""
    return f"again {number}"


def _above(table):
    return [to for child, _, to, how in REFERENCES if child == table and how == LINK for to in (to, *_above(to))]


def loss(rng, then, live):
    """After the deletions: in most cases later edits, an object that was deleted, and live rows to overwrite."""
    live = copied(live)
    lost = [place for place in places(then) if place[1] not in live[place[0]]]
    if rng.random() < 0.7:
        edited(rng, then, live)
    root = max(rng.sample(lost, min(4, len(lost))), key=lambda one: len(Expected(then, live, (one,)).belongs))
    if rng.random() < 0.6:
        take_values(rng, then, live, Expected(then, live, (root,)).belongs)
    changed = {(name, n) for name, n in places(then) if n in live[name] and live[name][n] != then[name][n]}
    over = frozenset(rng.sample(sorted(changed), rng.randint(0, min(3, len(changed)))))
    if rng.random() < 0.9:  # a name that no row needs is refused
        belongs = Expected(then, live, (root,), frozenset(changed)).belongs
        over = frozenset(one for one in sorted(changed & belongs) if one == root or rng.random() < 0.4)
        over &= Expected(then, live, (root,), over).belongs
    return Expected(then, live, (root,), over)
