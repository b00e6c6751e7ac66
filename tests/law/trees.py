"""Generated media trees: names, sizes, modes, owners, links and empty directories."""

import os

from property_testing import st

NAMES = st.one_of(
    st.sampled_from([b"scan 1.pdf", "é.jpg".encode(), "e\u0301.jpg".encode(), b"new\nline", b"caf\xe9", b"-rf", b"x" * 255, b"a'b", b"%s$(id)"]),
    st.binary(min_size=1, max_size=12).filter(
        lambda raw: raw not in {b".", b".."}
        and not set(raw) & {0, 47}
        and not raw.startswith((b".stage-", b".before-", b".after-"))
    ),
)  # fmt: skip


@st.composite
def trees(draw):
    """Return a tree as a list of (kind, path, detail), directories first."""
    directories = draw(st.lists(NAMES, max_size=3, unique=True))
    entries = [("directory", name, draw(st.sampled_from([0o755, 0o700, 0o2775]))) for name in directories]
    taken = set(directories)
    for place in draw(st.lists(st.sampled_from([b"", *directories]), max_size=8)):
        name = draw(NAMES)
        path = os.path.join(place, name) if place else name
        if path in taken or (os.path.dirname(path) and os.path.dirname(path) not in taken):
            continue
        taken.add(path)
        content = draw(st.sampled_from([(b"", 1), (b"%PDF", 1), (bytes(range(256)), 300)]))
        entries.append(
            ("file", path, (content, draw(st.sampled_from([0o644, 0o600, 0o640])), draw(st.sampled_from([0, 33]))))
        )
    plain = [path for kind, path, _ in entries if kind == "file"]
    if plain and draw(st.booleans()):
        entries.append(("hard link", b"linked-to-it", plain[0]))
        entries.append(("link", b"points-to-it", plain[0]))
    return entries


TIMES = (1_700_000_000_123_456_789, 1_600_000_000_000_000_000, 999_999_999, -1_500_000_001, 4_102_444_800_000_000_100)
"""Nanoseconds since 1970: with a fraction and without, before 1970, after 2038."""


def build(root, entries):
    """Make the tree in an empty directory, its times from the longest path to the shortest."""
    root = os.fsencode(root)
    for kind, path, detail in entries:
        place = os.path.join(root, path)
        if kind == "directory":
            os.makedirs(place)
            os.chmod(place, detail)
        elif kind == "file":
            (piece, times), mode, owner = detail  # a failing test prints the pieces
            with open(place, "wb") as file:
                file.write(piece * times)
            os.chmod(place, mode)
            if os.geteuid() == 0:
                os.chown(place, owner, owner)
        elif kind == "hard link":
            os.link(os.path.join(root, detail), place)
        else:
            os.symlink(detail, place)
    for _, path, _ in sorted(entries, key=lambda entry: entry[1].count(b"/"), reverse=True):
        time = TIMES[len(path) % len(TIMES)]
        os.utime(os.path.join(root, path), ns=(time, time), follow_symlinks=False)
