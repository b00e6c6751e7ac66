"""Copies through duplicity, encrypted to a GPG key: made, listed, read back, fetched from a directory and from sshd."""

import json
import random
import shutil
import subprocess
import time
from getpass import getuser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from targetservers import ssh_server

pytestmark = pytest.mark.skipif(
    not (shutil.which("duplicity") and shutil.which("gpg")), reason="needs duplicity and gpg: apt-get install duplicity"
)


@pytest.fixture(scope="module")
def ssh():
    # duplicity takes each "open" in an answer of sftp for an error, so "popen-gw0" must not be in the path
    with TemporaryDirectory(prefix="korrigo-") as home, ssh_server(Path(home)) as server:
        yield server


@pytest.fixture
def rings(tmp_path_factory):
    """Two keyrings of GPG: the holder's with the private key, and the server's with the public key alone."""
    home = tmp_path_factory.mktemp("g")
    holder, server = home / "holder", home / "server"
    for ring in (holder, server):
        ring.mkdir(mode=0o700)
    gpg(holder, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key",
        "korrigo <b@test.invalid>", "future-default", "default", "1d")  # fmt: skip
    listed = gpg(holder, "--list-keys", "--with-colons")
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    public = home / "public.asc"
    gpg(holder, "--armor", "--output", public, "--export", fingerprint)
    gpg(server, "--import", public)
    (server / "gpg.conf").write_text("trust-model always\n")
    yield holder, server, fingerprint
    for ring in (holder, server):
        subprocess.run(["gpgconf", "--homedir", ring, "--kill", "all"], check=False)


def gpg(ring, *words):
    argv = ["gpg", "--homedir", ring, "--batch", "--quiet", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def configure(site, url, ring, fingerprint, more=""):
    words = json.dumps(["duplicity", "--archive-dir", str(site.home / f"cache-{ring.name}"), *more_words(more)])
    key = f'encrypt_key = "{fingerprint}"' if fingerprint else "seal = false"
    (site.home / "korrigo-backup.toml").write_text(
        f'[media]\nstore = true\n[targets.vault]\nkind = "duplicity"\nurl = "{url}"\n{key}\nduplicity = {words}\n'
    )
    (site.home / "korrigo-backup.env").write_text(f"GNUPGHOME={ring}\n")


def more_words(more):
    return ["--ssh-options", more] if more else []


def volumes(directory):
    return sorted(path.name for path in directory.iterdir() if "difftar" in path.name)


@pytest.mark.contract("B9")
def test_backups_are_encrypted_to_the_key_listed_and_restored_with_the_private_key(site, rings):
    holder, server, fingerprint = rings
    there = site.home / "vault"
    configure(site, f"file://{there}", server, fingerprint)
    site.korrigo("backup", "full")
    point = site.one("restore_point_*.json").name
    done = site.korrigo("copy")
    assert f"vault: {point} copied" in done.out
    assert "through duplicity" in done.out
    assert "✅ vault: 3 copied" in done.out
    (volume,) = volumes(there)
    assert volume.endswith(".difftar.gpg")
    # the server, without the private key, cannot open it
    argv = ["gpg", "--homedir", server, "--batch", "--decrypt", there / volume]
    assert subprocess.run(argv, check=False, capture_output=True).returncode != 0

    assert "0 copied (0B), 3 there already" in site.korrigo("copy").out
    assert volumes(there) == [volume]
    listed = site.json("list", "--on", "vault")["items"]
    assert {one["name"] for one in listed} >= {point}
    assert not any(one["missing"] for one in listed)
    shutil.rmtree(site.home / "cache-server")
    refused = site.korrigo("verify", "--on", "vault", "all", code=(1, 4))
    assert "gpg --import" in refused.err

    configure(site, f"file://{there}", holder, fingerprint)
    assert "3 copies read back from vault" in site.korrigo("verify", "--on", "vault", "all").out
    before = site.content(), site.tree()
    shutil.rmtree(site.backups)
    site.wreck()
    site.korrigo("restore", "--from", "vault", "latest-point", "--yes")
    assert (site.content(), site.tree()) == before
    site.korrigo("verify", "latest-point")


@pytest.mark.contract("T13")
def test_a_backup_that_is_gone_here_is_fetched_from_a_former_state(site, rings):
    holder, _, fingerprint = rings
    configure(site, f"file://{site.home}/vault", holder, fingerprint)
    first = site.backup()
    site.korrigo("copy")
    content = first.read_bytes()
    for path in site.backups.glob("*"):
        path.unlink()
    time.sleep(1)  # a backup of the same second would have the same name
    site.backup()
    assert "✅ vault: 1 copied" in site.korrigo("copy").out
    assert len(volumes(site.home / "vault")) == 2
    site.korrigo("fetch", "vault", first.name)
    assert first.read_bytes() == content
    site.korrigo("verify", first.name)


@pytest.mark.contract("B9")
@pytest.mark.parametrize("scheme", ["rsync", "pexpect+sftp"])
def test_an_sshd_takes_the_volumes(site, ssh, rings, scheme):
    holder, _, fingerprint = rings
    there = ssh.data / f"{site.database}-{scheme[:5]}"
    there.mkdir()
    options = " ".join(word for word in ssh.words[3:] if word != "-o")
    options = " ".join(f"-o{word}" for word in options.split())
    configure(site, f"{scheme}://{getuser()}@127.0.0.1:{ssh.port}/{there}", holder, fingerprint, options)
    dump = site.backup()
    content = dump.read_bytes()
    assert "✅ vault: 1 copied" in site.korrigo("copy").out
    assert volumes(there)
    dump.unlink()
    site.korrigo("fetch", "vault", dump.name)
    assert dump.read_bytes() == content


def test_a_volume_that_rots_there_is_found_and_a_new_chain_replaces_it(site, rings):
    holder, _, fingerprint = rings
    there = site.home / "vault"
    configure(site, f"file://{there}", holder, fingerprint)
    site.backup()
    site.korrigo("copy")
    (volume,) = volumes(there)
    content = bytearray((there / volume).read_bytes())
    content[len(content) // 2] ^= 1
    (there / volume).write_bytes(content)
    site.korrigo("verify", "--on", "vault", code=9)
    assert "1 copied" in site.korrigo("copy").out
    assert len(volumes(there)) == 2
    site.korrigo("verify", "--on", "vault")


def test_a_host_that_is_down_is_named_and_the_backup_is_unharmed(site, rings):
    _, server, fingerprint = rings
    configure(site, "pexpect+sftp://127.0.0.1:1/vault", server, fingerprint)
    dump = site.backup()
    done = site.korrigo("copy", code=3, timeout=180)
    assert "vault: cannot" in done.err
    site.korrigo("verify", dump)
    assert not list(site.backups.glob("*.receipt.json"))


def test_a_target_without_a_key_must_say_that_it_is_not_encrypted(site, rings):
    _, server, _ = rings
    configure(site, f"file://{site.home}/vault", server, "")
    text = (site.home / "korrigo-backup.toml").read_text()
    site.backup()
    (site.home / "korrigo-backup.toml").write_text(text.replace("seal = false\n", ""))
    assert "has no encrypt_key" in site.korrigo("copy", code=2).err
    (site.home / "korrigo-backup.toml").write_text(text)
    site.korrigo("copy")
    assert volumes(site.home / "vault")[0].endswith(".difftar.gz")


@pytest.mark.promise("P7")
def test_an_url_with_a_password_is_refused(site, rings):
    _, server, fingerprint = rings
    configure(site, "ftp://me:s3cr3t@backup-server/vault", server, fingerprint)
    done = site.korrigo("copy", code=(2, 4))
    assert "without spaces, a password" in done.err


@pytest.mark.promise("P2", "P3")
def test_a_copy_that_is_killed_with_duplicity_is_finished_by_the_next(site, rings):
    """The kills are spread over the time of a whole copy, into an empty place and onto a chain."""
    holder, _, fingerprint = rings
    there = site.home / "vault"
    configure(site, f"file://{there}", holder, fingerprint)
    site.write("scans/large.pdf", random.Random(1).randbytes(30_000_000))
    site.korrigo("backup", "full")
    began = time.monotonic()
    site.korrigo("copy")
    whole = time.monotonic() - began
    killed = 0
    for number in range(5):
        if number % 2 == 0:
            shutil.rmtree(there)
            shutil.rmtree(site.home / f"cache-{holder.name}")
            for ledger in site.backups.glob(".copies-*"):
                ledger.unlink()
        else:
            time.sleep(1)  # a state of the same second would have the same name
            site.korrigo("backup", "media")
        with site.started("copy") as child:
            time.sleep(whole * (number + 1) / 6)
            killed += child.poll() is None
            child.kill()
        site.korrigo("copy")
        site.korrigo("verify", "--on", "vault", "all")
        assert not [one for one in site.json("list", "--on", "vault")["items"] if one["missing"]]
    assert killed
