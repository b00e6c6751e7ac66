"""The monitoring kit: what it names exists, the rules alarm when they should, the examples run."""

import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from prometheus_client.parser import text_string_to_metric_families

from korrigo_backup.cli import main
from korrigo_backup.setup.monitoring import TEMPLATES, MonitoredSite, files
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.metrics import _families
from korrigo_backup.status.model import Goals
from sinks import web
from standings import NOW, healthy

PROJECT = Path(__file__).parents[3]
KIT = files()
RULES, DASHBOARD, ZABBIX = "prometheus-rules.yml", "grafana-dashboard.json", "zabbix-template.yaml"
OURS = "korrigo_backup_"
EXAMPLE = "/srv/korrigo/venv/bin/korrigo-backup"

SELECTOR = re.compile(rf"({OURS}\w+)(?:\{{([^}}]*)\}})?")
LABEL = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"((?:[^\"\\]|\\.)*)\"")

GOLDEN = [
    sample
    for family in text_string_to_metric_families(
        (PROJECT / "tests/golden/status/metrics.prom").read_text(encoding="utf-8")
    )
    for sample in family.samples
]
"""The metrics of a site with nearly everything."""


def known():
    """The names of all metrics, each with its labels; those that the golden text lacks have those of every metric."""
    names = {f"{OURS}{name}" for name, *_ in _families(evaluate(healthy(), Goals(), now=NOW))}
    labels = {name: {"site", "environment"} for name in names}
    for sample in GOLDEN:
        labels[sample.name] |= set(sample.labels)
    return labels


def expressions(name):
    """The expressions of a file in which metrics are named."""
    match name:
        case "prometheus-rules.yml":
            return [rule["expr"] for group in yaml.safe_load(KIT[name])["groups"] for rule in group["rules"]]
        case "grafana-dashboard.json":
            dashboard = json.loads(KIT[name])
            queries = [one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
            return queries + [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        case _:
            return [step["parameters"][0] for item in zabbix()["items"] for step in item.get("preprocessing", ())
                    if step["type"].startswith("PROMETHEUS")]  # fmt: skip


def zabbix():
    (template,) = yaml.safe_load(KIT[ZABBIX])["zabbix_export"]["templates"]
    return template


@pytest.mark.parametrize("name", [RULES, DASHBOARD, ZABBIX])
def test_every_metric_and_every_label_exists(name):
    labels, found = known(), 0
    for expression in expressions(name):
        for metric, matchers in SELECTOR.findall(expression):
            assert metric in labels, expression
            assert {label for label, *_ in LABEL.findall(matchers)} <= labels[metric], expression
            found += 1
    assert found > 15


def test_a_metric_that_is_not_there_would_be_found():
    assert f"{OURS}last_sucess_timestamp_seconds" not in known()
    assert SELECTOR.findall(f'max({OURS}copies{{kind="sql"}}) > 1') == [(f"{OURS}copies", 'kind="sql"')]


# The rules, by Prometheus' own program.


@pytest.fixture(scope="module")
def promtool():
    program = shutil.which("promtool")
    if not program:
        pytest.skip("promtool is missing (Debian: apt-get install prometheus brings it)")
    return program


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_rules(promtool):
    code, output = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(TEMPLATES / RULES))
    assert code == 0, output
    assert "SUCCESS" in output


def test_promtool_accepts_every_expression_of_the_dashboard(promtool, tmp_path):
    queries = [one for one in expressions(DASHBOARD) if not one.startswith("label_values")]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, output = run(promtool, "check", "rules", str(path))
    assert code == 0, output
    assert len(rules) > 20


SITE = 'site="shop", environment="production"'
HOUR, DAY = 12, 288
"""Samples, one each five minutes."""


def series(name, values, labels=""):
    return {"series": f"{OURS}{name}{{{SITE}{labels}}}", "values": values}


def watched(*more, samples=40 * DAY):
    """A site whose status is always new, and more series."""
    return [series("generated_timestamp_seconds", f"0+300x{samples}"), *more]


def attention(id_, level):
    return watched(series("attention", f"1+0x{2 * DAY}", f', id="{id_}", level="{level}"'), samples=2 * DAY)


def documented():
    """The findings of the status with their levels, by the reference."""
    page = (PROJECT / "docs/reference/findings.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `((?:status|canary|schedule)\.\w+)` \| (error|warning) \|", page, re.MULTILINE)
    assert len(found) > 40
    return found


OWN = {
    "KorrigoBackupOverdue": ("status.overdue", "status.none"),
    "KorrigoBackupFailing": ("status.failing",),
    "KorrigoBackupDamaged": ("status.damaged", "status.forged", "status.target_damaged"),
    "KorrigoBackupLoss": ("canary.emptied", "canary.rows", "canary.dropped", "canary.files", "canary.bytes",
                          "canary.encrypted"),
    "KorrigoBackupSiteStopped": ("status.stopped",),
    "KorrigoBackupDiskFull": ("status.full",),
    "KorrigoBackupDiskFilling": ("status.filling", "status.little"),
    "KorrigoBackupNotProven": ("status.unproven", "status.proof_old"),
    "KorrigoBackupCopyBehind": ("status.target_behind", "status.target_unread"),
}  # fmt: skip
"""The findings of the rules that are about certain findings; each other finding has the rule of its level."""


def rule_of(id_, level):
    own = next((name for name, ids in OWN.items() if id_ in ids), None)
    return own or {"error": "KorrigoBackupError", "warning": "KorrigoBackupWarning"}[level]


CASES: dict[str, tuple[list[dict[str, str]], dict[str, set[str]]]] = {
    "a healthy site is quiet": (
        watched(series("overdue", f"0+0x{30 * DAY}"), series("last_rows", f"1000+3x{30 * DAY}", ', kind="sql"'),
                series("artifacts", f"30+0x{30 * DAY}", ', kind="sql"'), series("running", "1 1 1 0 0 1 0+0x8000")),
        {"6h": set(), "1d": set(), "20d": set()}),
    "a status that grows old": (
        [series("generated_timestamp_seconds", f"0+0x{DAY}")],
        {"1h": set(), "3h": {"KorrigoBackupStatusOld"}}),
    "one of two sites vanishes": (
        [*watched(samples=32 * DAY),
         {"series": f'{OURS}generated_timestamp_seconds{{site="blog", environment="production"}}',
          "values": f"0+300x{HOUR} stale"}],
        {"12h": {"KorrigoBackupStatusGone"}, "29d": {"KorrigoBackupStatusGone"}, "31d6h": set()}),
    "the only site vanishes": (
        [series("generated_timestamp_seconds", f"0+300x{HOUR} stale")],
        {"3h": {"KorrigoBackupStatusGone", "KorrigoBackupStatusMissing"}}),
    "nothing was ever there": (
        [{"series": "up", "values": f"1+0x{DAY}"}],
        {"0m": set(), "1h": {"KorrigoBackupStatusMissing"}}),
    "a run that does not end": (
        watched(series("running", f"1+0x{DAY}"), samples=DAY),
        {"11h": set(), "13h": {"KorrigoBackupRunTooLong"}}),
    "rows vanish": (
        watched(series("last_rows", f"1000+0x{7 * DAY} 400+0x{DAY}", ', kind="sql"')),
        {"6d": set(), "7d18h": {"KorrigoBackupFewerRows"}}),
    "a tenth of the rows vanishes": (
        watched(series("last_rows", f"1000+0x{7 * DAY} 900+0x{DAY}", ', kind="sql"')), {"7d18h": set()}),
    "rows of a site with few": (
        watched(series("last_rows", f"90+0x{7 * DAY} 10+0x{DAY}", ', kind="sql"')), {"7d18h": set()}),
    "backups are removed": (
        watched(series("artifacts", f"30+0x{2 * DAY} 10+0x{DAY}", ', kind="sql"')),
        {"1d": set(), "2d2h": {"KorrigoBackupVanished"}}),
    "the retention takes some": (
        watched(series("artifacts", f"30+0x{2 * DAY} 20+0x{DAY}", ', kind="sql"')), {"2d2h": set()}),
    "a site with three backups": (
        watched(series("artifacts", f"3+0x{2 * DAY} 1+0x{DAY}", ', kind="sql"')), {"2d2h": set()}),
    "the lock of the copies ends": (
        watched(series("target_immutable", f"9+0x{DAY} 0+0x{2 * DAY}", ', target="cloud"')),
        {"1d": set(), "1d4h": set(), "1d8h": {"KorrigoBackupCopyUnlocked"}}),
    "copies that were never locked": (
        watched(series("target_immutable", f"0+0x{2 * DAY}", ', target="nas"')), {"1d8h": set()}),
} | {
    f"finding {id_}": (attention(id_, level), {"26h": {rule_of(id_, level)}}) for id_, level in documented()
}  # fmt: skip


def firing(expected):
    """What promtool compares: the alerts that fire, each with how many series it has."""
    return [
        {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": moment,
         "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)]}
        for moment, names in expected.items()
    ]  # fmt: skip


def pace(expected):
    """The time between two evaluations: cases of many days are evaluated seldom, so that the test takes seconds."""
    return "6h" if any(int(days) > 2 for days in re.findall(r"(\d+)d", " ".join(expected))) else "1h"


def outcome(promtool, directory, cases, text=None):
    """Run the cases with promtool on our rules, or on `text`; return its exit code and output."""
    (directory / RULES).write_text(text or KIT[RULES], encoding="utf-8")
    for every in ("1h", "6h"):
        groups = [
            {"name": name, "interval": "5m", "input_series": found, "promql_expr_test": firing(expected)}
            for name, (found, expected) in cases.items()
            if pace(expected) == every
        ]
        tests = {"rule_files": [RULES], "evaluation_interval": every, "tests": groups}
        (directory / f"{every}.yml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    return run(promtool, "test", "rules", *(str(directory / f"{every}.yml") for every in ("1h", "6h")))


def test_the_rules_alarm_when_they_should_and_each_finding_has_one_rule(promtool, tmp_path):
    code, output = outcome(promtool, tmp_path, CASES)
    assert code == 0, output


def test_every_rule_has_a_case():
    names = {rule["alert"] for group in yaml.safe_load(KIT[RULES])["groups"] for rule in group["rules"]}
    assert set().union(*(fired for _, expected in CASES.values() for fired in expected.values())) == names


@pytest.mark.parametrize(
    ("right", "wrong", "case"),
    [
        ("> 3600", "> 36000", "a status that grows old"),
        ('id="status.failing"', 'id="status.fail"', "finding status.failing"),
        ("< 0.5 * quantile", "< 0.95 * quantile", "a tenth of the rows vanishes"),
        ("stopped|full)", "stopped)", "finding status.full"),
    ],
)
def test_a_wrong_rule_is_found(promtool, tmp_path, right, wrong, case):
    assert right in KIT[RULES]
    code, output = outcome(promtool, tmp_path, {case: CASES[case]}, KIT[RULES].replace(right, wrong))
    assert code == 1, output


def test_an_alert_names_the_site_and_the_next_command():
    for group in yaml.safe_load(KIT[RULES])["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
            assert set(rule["annotations"]) == {"summary", "description", "command"}, rule["alert"]
            assert "absent(" in rule["expr"] or "{{ $labels.site }}" in rule["annotations"]["summary"]
            for command in rule["annotations"]["command"].split("; "):
                verb = command.removeprefix("korrigo-backup ").split()[0]
                assert verb in ROOT.commands, command


ROOT: Any = typer.main.get_command(main.app)


# The dashboard and the Zabbix template.


def test_the_panels_of_the_dashboard_have_numbers_and_places_of_their_own():
    dashboard = json.loads(KIT[DASHBOARD])
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert {x for x, _ in taken} == set(range(24))


def test_the_dashboard_asks_for_its_source_site_and_environment():
    dashboard = json.loads(KIT[DASHBOARD])
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "site", "environment"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            count = len(SELECTOR.findall(target["expr"]))
            assert target["expr"].count('{site=~"$site", environment=~"$environment"') == count, target["expr"]


def test_the_zabbix_template_names_its_own_items_and_macros():
    template = zabbix()
    keys = {item["key"] for item in template["items"]}
    assert {item["master_item"]["key"] for item in template["items"] if item.get("type") == "DEPENDENT"} <= keys
    outside = yaml.safe_load(KIT[ZABBIX])["zabbix_export"]["triggers"]
    triggers = [*outside, *(trigger for item in template["items"] for trigger in item.get("triggers", ()))]
    asked = {key for trigger in triggers for key in re.findall(r"/korrigo-backup/([\w.]+)", trigger["expression"])}
    assert len(triggers) > 5
    assert asked <= keys
    macros = {macro["macro"] for macro in template["macros"]}
    assert set(re.findall(r"\{\$[A-Z_.]+\}", KIT[ZABBIX])) == macros


def test_the_uuids_of_the_zabbix_template_are_unique_and_of_version_4():
    found = re.findall(r"uuid: (\w+)$", KIT[ZABBIX], re.MULTILINE)
    assert len(found) == len(set(found)) > 20
    assert {uuid.UUID(one).version for one in found} == {4}


def test_a_pattern_of_zabbix_finds_one_value_or_says_how_many_become_one():
    for item in zabbix()["items"]:
        for step in item.get("preprocessing", ()):
            if step["type"] != "PROMETHEUS_PATTERN":
                continue
            pattern, output, function = step["parameters"]
            ((metric, matchers),) = SELECTOR.findall(pattern)
            found = [one for one in GOLDEN if one.name == metric and matches(one.labels, matchers)]
            assert (output, function) == ("value", "") or (output == "function" and function in {"max", "sum"})
            assert len(found) <= 1 or function, pattern


def matches(labels, matchers):
    return all(
        labels.get(label) == value if sign == "=" else re.fullmatch(value, labels.get(label, ""))
        for label, sign, value in LABEL.findall(matchers)
    )


# Nagios, NRPE, Icinga, sudo, Healthchecks.


def test_all_monitors_run_the_one_command_that_sudo_allows():
    (allowed,) = re.findall(r"^nagios ALL=\(korrigo\) NOPASSWD: (.*)$", KIT["sudoers"], re.MULTILINE)
    line = f"/usr/bin/sudo -n -H -u korrigo {allowed}"
    assert re.findall(r"^ +command_line +(/.*)$", KIT["nagios.cfg"], re.MULTILINE) == [line]
    assert re.findall(r"^command\[check_korrigo_backup\]=(.*)$", KIT["nrpe.cfg"], re.MULTILINE) == [line]
    variables = dict(re.findall(r'^  vars\.(\w+) = "(.*)"$', KIT["icinga2.conf"], re.MULTILINE))
    (words,) = re.findall(r"^  command = \[(.*?)\]", KIT["icinga2.conf"], re.MULTILINE | re.DOTALL)
    given = re.sub(r"\$(\w+)\$", lambda found: variables[found[1]], " ".join(re.findall(r'"([^"]*)"', words)))
    assert given == line
    assert allowed.endswith(f"{EXAMPLE} status --nagios")
    assert "--nagios" in {option for parameter in ROOT.commands["status"].params for option in parameter.opts}


@pytest.mark.skipif(shutil.which("visudo") is None, reason="no visudo on this machine (apt-get install sudo)")
def test_sudo_accepts_its_file(tmp_path):
    path = tmp_path / "sudoers"
    path.write_text(KIT["sudoers"])
    assert run("visudo", "-cf", str(path))[0] == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("code", [0, 10])
def test_healthchecks_gets_the_exit_code_and_the_words_of_the_status(tmp_path, code):
    command = tmp_path / "korrigo-backup"
    command.write_text(f'#!/bin/sh\necho "$(pwd): $1"\necho "trouble" >&2\nexit {code}\n')
    command.chmod(0o755)
    script = tmp_path / "healthchecks.sh"
    script.write_text(files(MonitoredSite(tmp_path, command, tmp_path))["healthchecks.sh"])
    with web() as server:
        address = {"HEALTHCHECKS_STATUS_URL": f"http://127.0.0.1:{server.port}/a-uuid"}
        subprocess.run(["sh", str(script)], env=os.environ | address, check=True, timeout=30)
    ((path, body),) = [(one.path, one.body) for one in server.requests]
    assert path == f"/a-uuid/{code}"
    assert body == f"{tmp_path}: status\ntrouble"


# korrigo-backup init --monitoring DIR


def init(*words):
    return main.guarded(("init", "--monitoring", "kit", *words))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kit"


def test_init_writes_the_kit_and_a_second_time_nothing(place, capsys):
    assert init() == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in place.iterdir()} == KIT
    assert [path.name for path in place.iterdir() if path.stat().st_mode & 0o111] == ["healthchecks.sh"]
    assert "put your paths in its place" in capsys.readouterr().out
    assert init() == 0
    assert f"The monitoring kit is in {place} already" in capsys.readouterr().out


def test_init_names_the_site_that_is_configured_here(place):
    (place.parent / "korrigo-backup.toml").write_text("")
    assert init() == 0
    texts = {path.name: path.read_text(encoding="utf-8") for path in place.iterdir()}
    assert [name for name, text in texts.items() if "/srv/korrigo" in text] == []
    assert f"cd {place.parent}\n" in texts["healthchecks.sh"]
    assert f"{place}/healthchecks.sh" in texts["healthchecks.sh"]


def test_a_path_that_would_need_quotes_is_not_put_into_the_files():
    odd = Path("/srv/my shop")
    assert files(MonitoredSite(odd, odd / "korrigo-backup", odd / "kit")) == KIT


def test_init_replaces_no_other_file_and_then_writes_none(place, capsys):
    place.mkdir()
    (place / "sudoers").write_text("mine")
    assert init() == 4
    assert "is another file" in capsys.readouterr().err
    assert [path.name for path in place.iterdir()] == ["sudoers"]
    assert (place / "sudoers").read_text() == "mine"


def test_a_dry_run_names_the_files_and_writes_none(place, capsys):
    assert init("--dry-run") == 0
    assert capsys.readouterr().out.count("would be written") == len(KIT)
    assert not place.exists()


@pytest.mark.parametrize("other", [("--scripts",), ("--ci", "github")])
def test_the_kit_goes_with_no_other_step(place, other):
    assert init(*other) == 2
    assert not place.exists()
