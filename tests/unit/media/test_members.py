"""The members file is what sha256sum writes and reads."""

import hashlib
import io
import os
import subprocess

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import listing as members
from property_testing import given, st

NAMES = [
    b"plain",
    b"with space",
    b"back\\slash",
    b"new\nline",
    b"car\rriage",
    "é".encode(),
    b"caf\xe9",
    b" lead",
    b"-rf",
]
paths = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)


@given(st.lists(paths))
def test_lines_read_back_as_they_were_written(names):
    raw = b"".join(members.line("a" * 64, name) for name in names)
    assert list(members.read(io.BytesIO(raw), "list")) == [("a" * 64, name) for name in names]


@pytest.mark.contract("D6")
def test_every_line_is_the_one_sha256sum_writes(tmp_path):
    ours = b""
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
        ours += members.line(hashlib.sha256(name).hexdigest(), os.fsdecode(name))
    argv = [b"sha256sum", b"--", *NAMES]
    assert subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True).stdout == ours
    subprocess.run(["sha256sum", "-c", "--strict", "-"], cwd=tmp_path, check=True, capture_output=True, input=ours)


@pytest.mark.parametrize("line", [b"x\n", b"\n", b"a" * 64 + b" one\n", b"a" * 64 + b"  \n", b"a" * 64 + b"  cut"])
def test_a_line_that_is_none_is_a_proof_that_failed(line):
    with pytest.raises(ProofFailed, match="not a checksum and a path"):
        list(members.read(io.BytesIO(line), "list"))


@pytest.mark.promise("P6")
def test_a_line_without_end_is_refused_after_a_few_bytes():
    class Endless(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            self.taken += size
            assert size > 0
            return b"a" * size

    endless = Endless()
    with pytest.raises(ProofFailed):
        next(members.read(endless, "list"))
    assert endless.taken < 1 << 20
