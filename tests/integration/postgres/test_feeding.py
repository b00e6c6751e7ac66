"""Rows that are fed to a session: the questions after them are answered, by any minor version of psql."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox import Sandbox

ROWS = b"COPY pg_temp.fed FROM STDIN;\n1\n2\n\\.\n"


@pytest.mark.parametrize("restricted", [False, True], ids=["as it is", "restricted"])
@pytest.mark.parametrize("end", [b"", b"SELECT 7;\n"], ids=["rows at the end", "a statement at the end"])
def test_a_session_answers_after_rows_were_fed(site: Sandbox, *, end: bytes, restricted: bool) -> None:
    with site.wired().site().postgres.session() as session:
        session.run("CREATE TEMP TABLE fed (n int)")
        session.feed([ROWS, end], restricted=restricted)
        assert session.ask("SELECT to_json(count(*)) FROM pg_temp.fed", int) == 2
        session.feed([ROWS])
        assert session.ask("SELECT to_json(count(*)) FROM pg_temp.fed", int) == 4
