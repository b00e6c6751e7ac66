"""The two media archives, each in a process of its own: `python zipping.py ours|deflate MEDIA_ROOT TARGET`."""

import sys
import zipfile
from pathlib import Path


def ours(root: Path, target: Path) -> None:
    """Write the archive and the SHA-256 of every file, and read both back, as `manage.py backup` does."""
    from korrigo_backup.media import zip_archive as media_zip
    from korrigo_backup.media.tree import MediaTree
    from korrigo_backup.system.streams import HashingWriter

    listing = target.with_name(target.name + ".sha256")
    with target.open("xb", buffering=0) as out, listing.open("xb", buffering=0) as lines:
        media_zip.create(MediaTree(root), HashingWriter(out), HashingWriter(lines), members_name=listing.name)


def check(_root: Path, target: Path) -> None:
    """Read the archive back, every byte held against its SHA-256."""
    from korrigo_backup.media import zip_archive as media_zip

    listing = target.with_name(target.name + ".sha256")
    with target.open("rb", buffering=0) as archive, listing.open("rb") as lines:
        media_zip.check(archive, lines, target.name)


def deflate(root: Path, target: Path) -> None:
    """Do what the former command did, and most scripts do."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                opened.write(file, file.relative_to(root))


if __name__ == "__main__":
    {"ours": ours, "deflate": deflate, "check": check}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
