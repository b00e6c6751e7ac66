"""Headers of tar members: those that we make and read ourselves are those of tarfile, and times keep their fraction."""

import io
import tarfile

import pytest

from korrigo_backup.media.tar_header import TarHeader, mtime_ns, packed, written_time
from property_testing import given, st

NUMBERS = st.integers(0, 8**7 - 1)


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def read(raw, kind=TarHeader):
    with tarfile.open(fileobj=io.BytesIO(raw + bytes(1024)), mode="r:", tarinfo=kind) as tar:
        return tar.next()


def fields_of(info):
    return info.name, info.mode, info.uid, info.gid, info.size, info.mtime, info.type, info.linkname, info.pax_headers


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=110),
    st.integers(0, 0o7777), NUMBERS, NUMBERS, st.integers(0, 8**11 - 1),
    st.integers(-(10**18), 4 * 10**18),
)  # fmt: skip
def test_a_header_is_read_as_tarfile_reads_it(name, mode, uid, gid, size, changed):
    info = member(name, mode=mode, uid=uid, gid=gid, size=size, mtime=changed // 10**9)
    info.pax_headers = {"mtime": written_time(changed)}
    raw = packed(info)
    assert fields_of(read(raw)) == fields_of(read(raw, tarfile.TarInfo))
    assert mtime_ns(read(raw)) == changed
    assert len(raw) % 512 == 0


def test_a_block_with_a_wrong_checksum_is_refused():
    raw = bytearray(packed(member("a")))
    raw[0] = ord("b")
    with pytest.raises(tarfile.ReadError):
        read(bytes(raw))


@pytest.mark.parametrize(("written", "found"), [("12", 12 * 10**9), ("1.5", 15 * 10**8), ("-0.25", -25 * 10**7),
                                                ("1.1234567891", 1123456789), ("x", 7 * 10**9), ("1e3", 7 * 10**9)])  # fmt: skip
def test_times_of_other_tools_are_read_too(written, found):
    assert mtime_ns(member("a", mtime=7, pax_headers={"mtime": written})) == found
