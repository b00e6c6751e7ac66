"""Files whose first bytes have no known type."""

import gzip
import random

import pytest

from korrigo_backup.canary.file_types import HEAD, is_opaque
from property_testing import given, st

RANDOM = random.Random(7).randbytes(HEAD)
SHORT_MARKS = (b"BM", b"\x1f\x8b", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
TEXT = b"Nom;Note\nDupont;12,5\n" * 100


@pytest.mark.parametrize(
    ("suffix", "head"),
    [
        (".pdf", b"%PDF-1.7\n" + RANDOM),
        (".pdf", b"\xef\xbb\xbf\n%PDF-1.4" + RANDOM),
        (".jpeg", b"\xff\xd8\xff\xe0" + RANDOM),
        (".docx", b"PK\x03\x04" + RANDOM),
        (".mp4", b"\0\0\0\x18ftypmp42" + RANDOM),
        (".csv", TEXT),
        ("", TEXT),
        (".csv", "Prénom;Élève\n".encode() * 200),
        (".dat", gzip.compress(RANDOM)),
        (".bin", b"short"),
        (".pdf", b""),
    ],
)
def test_a_file_with_its_type_or_of_text_is_not_opaque(suffix, head):
    assert not is_opaque(suffix, head[:HEAD])


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".jpg", ".docx", ".mp4", ".csv", ".locked", ""])
def test_random_bytes_are_opaque_under_any_name(suffix):
    assert is_opaque(suffix, RANDOM)


@given(key=st.binary(min_size=16, max_size=16), suffix=st.sampled_from([".pdf", ".png", ".csv", ".locked"]))
def test_an_encrypted_pdf_is_opaque(key, suffix):
    stream = random.Random(key).randbytes(HEAD)
    plain = (b"%PDF-1.4 page " * 400)[:HEAD]
    encrypted = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    # one of 10,000 keys gives the two bytes of a short mark, such as BM, and then only the name tells more
    assert is_opaque(suffix, encrypted) or encrypted.startswith(SHORT_MARKS)
