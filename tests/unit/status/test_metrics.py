"""The metrics are what Prometheus' own parser reads, with every digit."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.metrics import BEGIN, metrics
from korrigo_backup.status.model import Beside, Goals
from standings import GB, NOW, backup, facts, healthy, ran


def samples(found, goals=None):
    goals = goals or Goals()
    text = metrics(evaluate(found, goals, now=NOW))
    assert text.startswith(BEGIN)
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    assert text.count("# TYPE") == len(families)
    return {
        (sample.name.removeprefix("korrigo_backup_"), sample.labels.get("kind") or sample.labels.get("level") or ""):
        sample.value for family in families for sample in family.samples
    }  # fmt: skip


def test_a_healthy_site_has_all_of_them():
    found = samples(healthy(kept=[Beside(("v_before_1",), NOW)], next_run=NOW + timedelta(hours=1)))
    assert found["last_success_timestamp_seconds", "sql"] == (NOW - timedelta(hours=3)).timestamp()
    assert found["last_success_timestamp_seconds", "media"] == (NOW - timedelta(hours=50)).timestamp()
    assert found["last_size_bytes", "sql"] == GB
    assert (found["last_rows", "sql"], found["last_duration_seconds", "sql"]) == (1000, 12.5)
    assert found["last_proven_timestamp_seconds", ""] == (NOW - timedelta(hours=30)).timestamp()
    assert (found["overdue", ""], found["copies", ""], found["kept", ""]) == (0, 2, 1)
    assert not any("offsite" in name for name, _ in found)
    assert (found["findings", "error"], found["findings", "warning"], found["failures", ""]) == (0, 0, 0)
    assert found["free_bytes", ""] == 100 * GB
    assert found["next_run_timestamp_seconds", ""] == (NOW + timedelta(hours=1)).timestamp()


def test_a_site_without_backups_has_those_that_are_known():
    found = samples(facts(site=None, environment=None, free=None))
    assert (found["overdue", ""], found["findings", "error"]) == (1, 1)
    assert not {"last_proven_timestamp_seconds", "last_rows", "free_bytes", "kept"} & {name for name, _ in found}


def test_labels_are_escaped_and_have_no_value_for_each_backup():
    odd = 'a "quoted"\\ name\nof two lines'
    bad = [ran(n, Outcome.FAILED, verb="verify", subject=backup(n).name, message="x", exit_code=9) for n in (1, 2)]
    found = facts(backup(1), backup(2), site=odd, environment=None, records=bad)
    text = metrics(evaluate(found, Goals(), now=NOW))
    assert text.startswith(BEGIN)
    families = list(text_string_to_metric_families(text))
    assert {sample.labels["site"] for family in families for sample in family.samples} == {odd}
    assert "db_backup_" not in text
    everything = [(s.name, tuple(s.labels.items())) for family in families for s in family.samples]
    assert len(everything) == len(set(everything))


def test_a_size_keeps_all_its_digits():
    assert samples(facts(backup(1, size=123_456_789_012_345)))["last_size_bytes", Kind.SQL.value] == 123_456_789_012_345
