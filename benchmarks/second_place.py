"""Copies to other places: ours beside rsync, rclone and aws on the same files, to servers on loopback.

    python benchmarks/second_place.py [--pairs 3] [--only ssh,s3,rclone,file,memory] [--aws aws]

Trees of the media store: 2 GB in 2,000 files, and 20,000 files of 2 kB, as `[targets]` of SSH, S3 (`rclone serve s3`)
and rclone. Ours is the whole command `copy` of one media backup, with its checksums compared there, and with fsync; it
is not sealed, since the rivals seal nothing. `file` is one dump of 500 MB up and down, `memory` a sealed one of 5 GB.
`aws` is awscli, `pip install awscli`. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from korrigo_backup.postgres.throwaway import ThrowawayServer, system_bindir
from machine import describe
from measure import run
from media_store import HOME, KORRIGO, LARGE, MANY, Bench, Tree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from targetservers import ACCESS_KEY, RCLONE, SECRET_KEY, S3Server, SshServer, s3_server, ssh_server

if TYPE_CHECKING:
    from measure import Sample

SMALL = replace(MANY, name="small", files=20_000)
AGAIN = "the second copy / the first, under 5 %"
MEMORY = 200 * 1024 * 1024


class Places:
    """The servers, and the site that copies to them."""

    def __init__(self, bench: Bench, s3: S3Server, ssh: SshServer, aws: str) -> None:
        self.bench, self.s3, self.ssh, self.aws = bench, s3, ssh, aws
        self.backups = HOME / "backups"
        self.rclone = HOME / "rclone.conf"
        self.rclone.write_text(
            f"[there]\ntype = s3\nprovider = Other\nendpoint = {s3.endpoint}\n"
            f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
        )
        (bench.work / "korrigo-backup.env").write_text("".join(f"{k}={v}\n" for k, v in s3.env.items()))
        self.env = bench.env | s3.env | {"AWS_DEFAULT_REGION": "us-east-1"}

    def configure(self, more: str = "") -> None:
        """Write the configuration with a target of each sort."""
        ssh = json.dumps(list(self.ssh.words))
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.ssh.port}{self.ssh.data}/ours"
        rclone = json.dumps([str(RCLONE), "--config", str(self.rclone)])
        (self.bench.work / "korrigo-backup.toml").write_text(
            "[media]\nstore = true\n"
            f'[targets.s3]\nurl = "s3://{self.s3.bucket}/ours"\nendpoint = "{self.s3.endpoint}"\n'
            f"{more or 'seal = false'}\n"
            f'[targets.ssh]\nurl = "{url}"\nssh = {ssh}\nseal = false\n'
            f'[targets.rclone]\nurl = "rclone:there:{self.s3.bucket}/remote"\nrclone = {rclone}\nseal = false\n'
        )

    def empty(self) -> None:
        """Remove what is on the servers, and our accounts of it. The S3 server remembers files, so it is asked."""
        self.theirs(str(RCLONE), "--config", str(self.rclone), "delete", f"there:{self.s3.bucket}")
        for path in (self.ssh.data, HOME / "down"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        for ledger in self.backups.glob(".copies-*"):
            ledger.unlink()
        os.sync()

    def ours(self, *words: str, tree: Tree = LARGE) -> Sample:
        """Run our command."""
        return run((KORRIGO, *words), self.bench.env | {"MEDIA_ROOT": str(tree.root)}, str(self.bench.work))

    def theirs(self, *words: str) -> float:
        """Return the seconds of the command of a rival."""
        return run(words, self.env, str(self.bench.work)).seconds

    def backup(self, tree: Tree) -> str:
        """Make one media backup of a tree and return its name."""
        if tree in (LARGE, SMALL):
            tree.make()
        shutil.rmtree(self.backups, ignore_errors=True)
        self.ours("backup", "media", tree=tree)
        return next(self.backups.glob("*.files.gz")).name

    def rival(self, kind: str) -> tuple[str, ...]:
        """Return the rival's command for the media store."""
        store = f"{self.backups}/media-store"
        if kind == "ssh":
            rsh = " ".join((*self.ssh.words, "-p", str(self.ssh.port)))
            return ("rsync", "-a", f"--rsh={rsh}", store, f"{getpass.getuser()}@127.0.0.1:{self.ssh.data}/theirs/")
        return (str(RCLONE), "--config", str(self.rclone), "copy", store, f"there:{self.s3.bucket}/theirs")


def trees(places: Places, kind: str, pairs: int) -> None:
    """Measure a first and a second copy of both trees to a target."""
    places.configure()
    for tree in (LARGE, SMALL):
        places.backup(tree)
        first, second, theirs = [], [], []
        for _ in range(pairs):
            places.empty()
            first.append(places.ours("copy", "--to", kind).seconds)
            second.append(places.ours("copy", "--to", kind).seconds)
            theirs.append(places.theirs(*places.rival(kind)))
        rival, goal = ("rsync -a", 1 / 1.5) if kind == "ssh" else ("rclone copy", 1.0)
        job = f"{kind}, {tree.files:,} files of {tree.size:,} bytes"
        places.bench.report(f"{job} / `{rival}`", first, theirs, goal, f">= {goal:.2f}x")
        places.bench.report(f"{job}: second copy / first", second, first, 20, "under 5 % of the time")


def write(path: Path, size: int) -> None:
    """Make a file of random bytes, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as to:
        for _ in range(size // 1_000_000):
            to.write(os.urandom(1_000_000))


def file(places: Places, pairs: int) -> None:
    """Measure one large file up and down, beside rclone and aws."""
    places.configure()
    one = Tree("one", 1, 500_000_000)
    write(one.root / "one.bin", one.size)
    name = places.backup(one)
    (source,) = (path for path in (places.backups / "media-store").rglob("*") if path.is_file())
    rclone = (str(RCLONE), "--config", str(places.rclone), "copy")
    aws = (places.aws, "s3", "--endpoint-url", places.s3.endpoint, "cp", "--only-show-errors")
    bucket, down = places.s3.bucket, HOME / "down"
    up: dict[str, list[float]] = {"ours": [], "rclone copy": [], "aws s3 cp": []}
    back: dict[str, list[float]] = {key: [] for key in up}
    kept = HOME / "kept"
    for _ in range(pairs):
        places.empty()
        up["ours"].append(places.ours("copy", "--to", "s3", tree=one).seconds)
        up["rclone copy"].append(places.theirs(*rclone, str(source), f"there:{bucket}/r"))
        up["aws s3 cp"].append(places.theirs(*aws, "--storage-class", "STANDARD_IA", str(source), f"s3://{bucket}/a/x"))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(places.backups, kept)
        for path in (places.backups / "media-store", *places.backups.glob("media_backup*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        back["ours"].append(places.ours("fetch", "s3", name, tree=one).seconds)
        back["rclone copy"].append(places.theirs(*rclone, f"there:{bucket}/r/{source.name}", str(down)))
        back["aws s3 cp"].append(places.theirs(*aws, f"s3://{bucket}/a/x", str(down / "aws")))
    for words, figures in (("up", up), ("down", back)):
        for rival in ("rclone copy", "aws s3 cp"):
            places.bench.report(f"500 MB to S3, {words} / `{rival}`", figures["ours"], figures[rival], 1, ">= 1x")


def memory(places: Places) -> None:
    """Measure the greatest memory of our process with a sealed file of 5 GB, up and down."""
    key = pyrage.x25519.Identity.generate()
    private = HOME / "private.key"
    private.write_text(f"{key}\n")
    huge = Tree("huge", 0, 0)
    write(huge.root / "huge.bin", 5_000_000_000)
    places.configure(f'recipients = ["{key.to_public()}"]')
    name = places.backup(huge)
    places.empty()
    up = places.ours("copy", "--to", "s3", tree=huge)
    shutil.rmtree(places.backups / "media-store")
    for one in places.backups.glob("media_backup*"):
        one.unlink()
    down = places.ours("fetch", "s3", name, "--identity", str(private), tree=huge)
    for words, sample in (("up", up), ("down", down)):
        met = sample.peak < MEMORY
        places.bench.missed |= not met
        print(f"| 5 GB sealed to S3, {words}: memory | < 200 MiB | {sample.seconds:.1f} | {sample.peak >> 20} MiB"
              f"{'' if met else ' MISSED'} |", flush=True)  # fmt: skip


def main() -> None:
    """Measure the chosen jobs and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=3)
    options.add_argument("--only", default="ssh,s3,rclone,file,memory")
    options.add_argument("--aws", default="aws")
    chosen = options.parse_args()
    found = system_bindir()
    if found is None:
        raise SystemExit("no PostgreSQL server programs are on this machine: apt-get install postgresql")
    home = HOME / "servers"
    shutil.rmtree(home, ignore_errors=True)
    with ExitStack() as stack:
        bench = Bench(stack.enter_context(ThrowawayServer(found)))
        s3, ssh = stack.enter_context(s3_server(home)), stack.enter_context(ssh_server(home))
        places = Places(bench, s3, ssh, chosen.aws)
        print(", ".join(f"{name} {value}" for name, value in describe(found.parent.name).items()))
        print("| job | goal | ours s, rival s | ratio |\n|---|---|---|---|", flush=True)
        for name in chosen.only.split(","):
            if name == "file":
                file(places, chosen.pairs)
            elif name == "memory":
                memory(places)
            else:
                trees(places, name, chosen.pairs)
    raise SystemExit(1 if bench.missed else 0)


if __name__ == "__main__":
    main()
