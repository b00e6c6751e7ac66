"""Compressed streams: read back exactly, or found to be damaged."""

import gzip
import io
import random
import threading
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.blocks import BLOCK, Effort
from korrigo_backup.system.streams import GzipWriter, HashingReader, HashingWriter, gunzip
from property_testing import given, st

DATA = bytes(range(256)) * 40 + b"some text that compresses " * 400
GZ = gzip.compress(DATA, mtime=0)
END = len(GZ) - 9
"""The last byte before the trailer, checksum and length: after its end mark it holds bits that no reader looks at."""


def pieces(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def read(data, size=1 << 20):
    return b"".join(gunzip(pieces(data, size), "file"))


@given(st.lists(st.binary(max_size=5000)), st.integers(1, 4000))
def test_written_blocks_are_read_by_gzip_and_by_korrigo_backup(parts, size):
    file = io.BytesIO()
    target = HashingWriter(file)
    with GzipWriter(target, Effort.QUICK) as writer:
        for part in parts:
            writer.write(part)
    assert gzip.decompress(file.getvalue()) == b"".join(parts)
    assert read(file.getvalue(), size) == b"".join(parts)
    assert target.size == len(file.getvalue())


@given(st.integers(1, 500))
def test_the_size_of_the_pieces_does_not_matter(size):
    assert read(GZ, size) == DATA


def test_several_members_are_one_stream_and_padding_is_accepted():
    assert read(GZ + gzip.compress(b"") + GZ, 7) == DATA * 2
    assert read(GZ + b"\0" * 1000, 100) == DATA


@pytest.mark.promise("P3")
@given(st.integers(0, len(GZ) - 1))
def test_a_stream_cut_anywhere_is_found(length):
    with pytest.raises(ProofFailed, match=r"is cut|is empty"):
        read(GZ[:length])


@pytest.mark.promise("P3")
def test_a_flipped_bit_anywhere_behind_the_header_is_found():
    """But for those that fill the last byte of deflate, which mean nothing (RFC 1951, 3.2.3)."""
    assert {bit // 8 for bit in range(10 * 8, len(GZ) * 8) if unnoticed(bit)} <= {END}


def unnoticed(bit):
    damaged = bytearray(GZ)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        assert read(bytes(damaged)) == DATA
    except ProofFailed:
        return False
    return True


@pytest.mark.parametrize("data", [b"plain text", b"\x1f\x8b", b"\x1f\x8b\x08" + b"\xff" * 50, GZ + b"trailing words"])
def test_data_that_is_not_gzip_is_an_error(data):
    with pytest.raises(ProofFailed):
        read(data)


@pytest.mark.promise("P6")
def test_zeros_that_compress_a_thousandfold_come_in_small_pieces():
    bomb = zlib.compress(bytes(50_000_000), 9, wbits=31)
    assert len(bomb) < 60_000
    tracemalloc.start()
    total = 0
    for piece in gunzip([bomb], "bomb"):
        assert len(piece) <= 1 << 20
        total += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 50_000_000
    assert peak < 8 << 20


def test_the_reader_knows_size_and_checksum_of_the_whole_file():
    reader = HashingReader(io.BytesIO(DATA))
    assert b"".join(reader) == DATA
    written = HashingWriter(io.BytesIO())
    written.write(DATA)
    assert (reader.size, reader.sha256) == (written.size, written.sha256) == (len(DATA), written.sha256)


class Full(io.RawIOBase):
    """A disk that is full after some bytes."""

    def __init__(self, room):
        self.room = room

    def writable(self):
        return True

    def write(self, data):
        if len(data) > self.room:
            raise OSError(28, "No space left on device")
        self.room -= len(data)
        return len(data)


@pytest.mark.promise("P1")
@pytest.mark.parametrize("room", [20, 100_000])
def test_an_error_of_the_disk_is_never_lost_between_the_threads(room):
    noise = [random.Random(n).randbytes(300_000) for n in range(30)]
    disk: Any = Full(room)
    with pytest.raises(OSError, match="No space left"), GzipWriter(HashingWriter(disk), Effort.QUICK) as writer:
        for piece in noise:
            writer.write(piece)


def test_an_error_inside_the_block_ends_the_threads_and_is_raised():
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt), GzipWriter(HashingWriter(io.BytesIO()), Effort.SMALL) as writer:
        writer.write(bytes(5_000_000))
        raise KeyboardInterrupt
    assert threading.active_count() == threads


def packed(data, effort=Effort.SMALL):
    file = io.BytesIO()
    with GzipWriter(HashingWriter(file), effort) as writer:
        writer.write(data)
    return file.getvalue()


NOISE = random.Random(1).randbytes(3000)
BLOCKS = packed(DATA + NOISE, Effort.QUICK) + packed(NOISE) + packed(b"") + packed(DATA)
"""Members of ours: compressed and stored (noise does not compress)."""


@given(st.integers(1, 9000))
def test_members_of_ours_and_of_others_are_one_stream_for_us_and_for_zlib(size):
    mixed = BLOCKS + GZ + BLOCKS + b"\0" * 10
    assert read(mixed, size) == gzip.decompress(mixed) == (DATA + NOISE * 2 + DATA) + DATA + (DATA + NOISE * 2 + DATA)


@pytest.mark.promise("P3")
@given(st.integers(0, len(BLOCKS) * 8 - 1))
def test_a_flipped_bit_in_a_block_is_detected_or_does_not_change_the_content(bit):
    damaged = bytearray(BLOCKS)
    damaged[bit // 8] ^= 1 << bit % 8
    with suppress(ProofFailed):
        assert read(bytes(damaged)) == DATA + NOISE * 2 + DATA  # the time and system in a header carry nothing


@pytest.mark.promise("P3")
@given(st.integers(0, len(BLOCKS) - 1))
def test_blocks_cut_anywhere_but_between_two_are_found(length):
    starts = {len(packed(DATA + NOISE, Effort.QUICK)), len(packed(DATA + NOISE, Effort.QUICK) + packed(NOISE))}
    starts.add(max(starts) + len(packed(b"")))
    if length not in starts:
        with pytest.raises(ProofFailed, match=r"is cut|is empty"):
            read(BLOCKS[:length])


@pytest.mark.promise("P6")
def test_a_gzip_bomb_marked_as_an_own_block_is_refused():
    bomb = bytearray(packed(bytes(1000)))
    body = zlib.compress(bytes(50_000_000), 9, wbits=-15)
    body += zlib.crc32(bytes(50_000_000)).to_bytes(4, "little") + (50_000_000).to_bytes(4, "little")
    bomb[16:20] = (20 + len(body)).to_bytes(4, "little")
    member = bytes(bomb[:20]) + body
    assert len(gzip.decompress(member)) == 50_000_000
    with pytest.raises(ProofFailed):
        read(member)


def test_data_that_does_not_compress_is_stored_and_hardly_grows():
    noise = random.Random(2).randbytes(3 * BLOCK)
    for effort in Effort:
        assert len(packed(noise, effort)) < len(noise) * 1.001
