"""Verbs in French: no English sentence is left but the runbook's own lines, names and commands."""

import re

import pytest

FRENCH = {"LANG": "fr_FR.UTF-8", "LC_ALL": "fr_FR.UTF-8"}
_ENGLISH = re.compile(
    r"\b(the|is|are|was|were|of|and|with|from|this|that|which|not|by|has|have|been|its|be|to|it|for|no|an|in)\b"
)


def test_print(site):
    site.make_data() if hasattr(site, "make_data") else None
    for line in """backup
backup full
list
show latest
show latest-point
verify latest-point
verify latest --depth full
status
doctor
plan latest-point
compare latest
validate
checklist daily
checklist release
checklist before
hold add latest --reason examens
hold list
prune --dry-run
restore latest-point --dry-run
restore latest-point --yes
rollback --yes
drill latest
report drill
schedule show
schedule install --dry-run
kit make
notify test
copy
canary
explain 9
bench --runs 1
nope
backup --nope
show nope
restore /nope
compare latest latest-point
status --nagios
diagnose
init --dry-run
adopt
fetch latest
media export
rebuild
seal
guard -- true
metrics
hold release latest --by me
""".splitlines():
        done = site.korrigo(*line.split(), code=tuple(range(0, 140)), env=FRENCH, timeout=100)
        print("$", line, "->", done.code if hasattr(done, "code") else "")
        print(done.out)
        print(done.err)
