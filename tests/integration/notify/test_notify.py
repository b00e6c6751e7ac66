"""Telling people and monitors: real mail, webhooks and pings on loopback, and servers that do not answer."""

import json
import os
import pty
import signal
import subprocess

import pytest

from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from sandbox import KORRIGO, until
from sinks import MAIL_PASSWORD, TRUST, dead, deaf, mail, web

TOKEN = "B0Ch3cKt0k3n99"


@pytest.fixture
def hooks():
    with web() as server:
        yield server


@pytest.fixture
def receiver(site, hooks):
    """The site tells one webhook and one check; all goes to `hooks`."""
    (site.home / ".env").write_text(
        f"KORRIGO_BACKUP_NOTIFY_URLS='json://127.0.0.1:{hooks.port}/hooks/{TOKEN}'\n"
        f"KORRIGO_BACKUP_HEALTHCHECKS_URL=http://127.0.0.1:{hooks.port}/ping/{TOKEN}\n"
    )
    return hooks


def configure(site, *channels, **keys):
    """Give the site channels of these addresses (after a name and a space, if it has one), and keys of [notify]."""
    lines = ["[notify]", *(f"{name} = {json.dumps(value)}" for name, value in keys.items() if name != "words")]
    for table, (event, template) in keys.get("words", {}).items():
        lines += [f"[notify.{table}]", f"{event} = {json.dumps(template)}"]
    for channel in channels:
        name, _, url = channel.rpartition(" ")
        lines += ["[[notify.channels]]", f"url = {json.dumps(url)}", *([f"name = {json.dumps(name)}"] if name else [])]
    (site.home / "korrigo-backup.toml").write_text("\n".join(lines))


def titles(server):
    return [request.json["title"] for request in server.requests if "/hooks" in request.path]


def pings(server):
    return [request.path.removeprefix(f"/ping/{TOKEN}") for request in server.requests if "/ping" in request.path]


@pytest.mark.contract("B12")
def test_a_failed_run_and_the_first_successful_run_after_it_are_notified(site, receiver):
    site.korrigo("backup", code=8, env={"POSTGRES_HOST": "/nowhere"})
    assert titles(receiver) == ["❌ Korrigo Backup FAILED"]
    assert pings(receiver) == ["/start", "/fail"]
    start, fail = (request for request in receiver.requests if "/ping" in request.path)
    assert start.query == fail.query
    assert "/nowhere" in fail.body
    assert "backup db failed (exit 8)" in fail.body
    for expected in (["✅ Korrigo Backup OK again"], []):
        receiver.requests.clear()
        site.korrigo("backup")
        assert titles(receiver) == expected
        assert pings(receiver) == ["/start", ""]


@pytest.mark.contract("B12")
def test_a_backup_that_is_done_in_part_is_a_warning(site, hooks):
    configure(
        site, f"json://127.0.0.1:{hooks.port}/hooks", healthchecks_url=f"http://127.0.0.1:{hooks.port}/ping/{TOKEN}",
        events=["warning"], words={"subjects": ("warning", "⚠️ $Site in part: $message")},
    )  # fmt: skip
    (site.home / "backups" / "db_backup_latest.sql.gz").mkdir(parents=True)
    done = site.korrigo("backup", code=3)
    assert pings(hooks) == ["/start", "/fail"]
    (title,) = titles(hooks)
    assert title.startswith("⚠️ Korrigo in part: the backup ")
    assert title.removeprefix("⚠️ Korrigo in part: ") in done.err


def test_an_interrupted_run_is_notified_and_exits_with_130(site, receiver, tmp_path):
    clients, mark = tmp_path / "clients", tmp_path / "dumping"
    clients.mkdir()
    (clients / "psql").symlink_to(site.server.access().client_dir / "psql")
    (clients / "pg_dump").write_text(f"#!/bin/sh\n: > {mark}\nexec sleep 60\n")
    (clients / "pg_dump").chmod(0o755)
    with site.started("backup", env={"KORRIGO_BACKUP_CLIENT_DIR": str(clients)}) as child:
        until(mark.exists)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert b"error: interrupted" in err
    assert pings(receiver) == ["/start", "/fail"]
    assert titles(receiver) == ["❌ Korrigo Backup FAILED"]


@pytest.mark.contract("B12")
def test_mail_goes_out_with_a_password_over_tls_in_the_words_that_are_configured(site):
    with mail() as server:
        configure(
            site, f"ops {server.url()}", events=["success"], words={"bodies": ("success", "$$1 for $site on $event")}
        )
        assert "not sent" not in site.korrigo("backup", env=TRUST).output
        assert "ops: its certificate is not trusted" in site.korrigo("notify", "test", code=8).out
    assert server.subjects == ["✅ Korrigo Backup OK"]
    assert [text.strip() for text in server.texts] == ["$1 for korrigo on success"]


@pytest.mark.contract("B12")
@pytest.mark.contract("C5")
@pytest.mark.promise("P7")
def test_a_backup_succeeds_and_names_each_channel_that_failed(site, hooks):
    hooks.answers = [(500, "oops"), (403, "who are you?")]
    with mail() as server, dead() as port:
        configure(
            site,
            f"gone json://127.0.0.1:{port}/{TOKEN}",
            f"password {server.url('wr0ng-pa55')}",
            f"json://127.0.0.1:{hooks.port}/hooks/{TOKEN}",
            "nonsense://x/" + TOKEN,
            events=["success"],
            timeout=6,
            healthchecks_url=f"http://127.0.0.1:{port}/ping/{TOKEN}",
        )
        done = site.korrigo("backup", env=TRUST)
    output = [line for line in done.out.splitlines() if "not sent to" in line]
    for expected in (
        "gone: connection refused",
        "password: user or password is wrong",
        "channel 3 (json): Failed to send JSON",
        "channel 4 (nonsense): no address that Apprise knows",
        "Healthchecks: Connection refused",
    ):
        assert any(expected in line for line in output), output
    site.korrigo("verify", "latest")
    record = next(record for record in journal.read(site.backups) if record.verb == "backup")
    assert record.outcome is Outcome.DONE
    assert "notification not sent to gone: connection refused" in record.message
    everything = done.output + "".join(p.read_text(errors="replace") for p in site.backups.rglob("*") if p.is_file())
    assert not [secret for secret in (TOKEN, MAIL_PASSWORD, "wr0ng-pa55") if secret in everything]


@pytest.mark.contract("B12")
def test_slack_and_discord_and_healthchecks_receive_their_own_formats(site, hooks):
    slack, discord = f"T1JJ3T3L2/A1BRTD4JD/{TOKEN * 2}"[:43], f"4174216298/{TOKEN}JHMHI8qBe7bk2ZwO5U711o3dV_js"
    configure(
        site,
        f"https://hooks.slack.com/services/{slack}",
        f"https://discord.com/api/webhooks/{discord}",
        healthchecks_url=f"https://hc-ping.com/{TOKEN}",
        events=["success"],
    )
    done = site.korrigo("backup", "--notify", env=hooks.as_proxy)
    assert "not sent" not in done.out
    got = {(request.host, request.path): request for request in hooks.requests}
    assert set(got) == {
        ("hooks.slack.com", f"/services/{slack}"),
        ("discord.com", f"/api/webhooks/{discord}"),
        ("hc-ping.com", f"/{TOKEN}/start"),
        ("hc-ping.com", f"/{TOKEN}"),
    }
    output = {request.host: request.body for request in hooks.requests}
    (backup,) = (name for name in site.published() if name.endswith(".sql.gz") and "latest" not in name)
    for host, escaped in (("hooks.slack.com", True), ("discord.com", True), ("hc-ping.com", False)):
        text = json.dumps(json.loads(output[host]), ensure_ascii=False) if escaped else output[host]
        assert "✅ Korrigo Backup OK" in text
        assert backup in text
    assert not [text for text in output.values() if "apprise" in text.lower()]


@pytest.mark.contract("B12")
def test_a_trial_reaches_every_channel_and_no_check_turns_green(site, receiver):
    done = site.korrigo("notify", "test", "--event", "failure")
    assert done.out.splitlines() == ["✅ channel 1 (json): sent", "✅ Healthchecks: sent"]
    assert titles(receiver) == ["[TEST] ❌ Korrigo Backup FAILED"]
    assert pings(receiver) == ["/log"]


@pytest.mark.contract("B12")
def test_a_trial_exits_with_3_when_some_took_it_with_8_when_none_did_and_with_2_when_there_are_none(site, hooks):
    with dead() as port:
        check = f"http://127.0.0.1:{port}/ping/{TOKEN}"
        configure(site, f"json://127.0.0.1:{hooks.port}/hooks", healthchecks_url=check, timeout=6)
        found = site.json("notify", "test", code=3)
        configure(site, healthchecks_url=check, timeout=1)
        assert "no channel took" in site.korrigo("notify", "test", code=8).err
    assert [(one["channel"], one["problem"]) for one in found["channels"]] == [
        ("channel 1 (json)", ""),
        ("Healthchecks", "Connection refused"),
    ]
    configure(site)
    assert "KORRIGO_BACKUP_NOTIFY_URLS" in site.korrigo("notify", "test", code=2).err
    assert "no channel is configured" in site.korrigo("backup", "--notify", code=2).err


def test_what_a_message_speaks_of_is_not_taken_for_why_it_was_not_sent(site, hooks):
    hooks.answers = [(403, "who are you?")]
    configure(
        site, f"json://127.0.0.1:{hooks.port}/hooks", words={"bodies": ("success", "Connection refused, timed out")}
    )
    done = site.korrigo("notify", "test", code=8)
    assert "error=403" in done.out
    assert len(hooks.requests) == 1


def test_a_silent_notification_server_is_given_up_after_the_timeout(site):
    with deaf() as port:
        configure(
            site,
            f"mute json://127.0.0.1:{port}/{TOKEN}",
            f"mute_mail mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com",
            healthchecks_url=f"http://127.0.0.1:{port}/ping/{TOKEN}",
            timeout=1,
        )
        done = site.korrigo("notify", "test", code=8)
    lines = done.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["❌ mute", "❌ mute_mail", "❌ Healthchecks"]
    assert {line.partition(": ")[2] for line in lines} <= {"no answer within 1 s", "timed out"}  # who is first


def test_a_healthchecks_answer_of_not_found_is_reported_as_a_failure(site, hooks):
    hooks.answers = [(200, "OK (not found)")]
    configure(site, healthchecks_url=f"http://127.0.0.1:{hooks.port}/ping/{TOKEN}")
    assert "'OK (not found)'" in site.korrigo("notify", "test", code=8).out


def test_who_sits_at_the_terminal_is_not_mailed(site, receiver):
    master, terminal = pty.openpty()
    try:
        for arguments, number in (((), 0), (("--notify",), 2), (("--no-notify",), 2)):
            argv = [KORRIGO, "backup", "media", *arguments]
            subprocess.run(argv, stdin=terminal, env=site.env, cwd=site.home, capture_output=True, check=True)
            assert len(pings(receiver)) == number
    finally:
        os.close(master)
        os.close(terminal)
    site.korrigo("backup", "media", "--no-notify")
    assert len(pings(receiver)) == 2


@pytest.mark.contract("B12")
def test_nightly_notifies_its_result_with_the_subjects_of_the_runbook(site, receiver):
    site.backups.mkdir(mode=0o700)
    site.korrigo("nightly", "--wait", "soon", code=2)
    assert titles(receiver) == ["❌ Korrigo Backup FAILED"]
    site.korrigo("nightly")
    assert titles(receiver)[1:] == ["✅ Korrigo Backup OK again"]
    assert pings(receiver) == ["/start", "/fail", "/start", ""]
    assert "nightly db done (exit 0)" in receiver.requests[-1].body + receiver.requests[-2].body


@pytest.mark.contract("B12")
def test_an_overdue_backup_is_notified(site, receiver):
    found = site.korrigo("notify", "overdue", code=10)
    assert "no good backup of the database in the last 26 h: there is none" in found.err
    fresh = site.backup()
    site.aged(fresh, 2)
    for path in site.backups.glob(f"{fresh.name}*"):
        path.unlink()
    site.korrigo("notify", "overdue", "--max-age", "36h", code=10)
    assert titles(receiver) == ["⏰ Korrigo Backup OVERDUE"] * 2
    assert pings(receiver) == ["/fail"] * 2
    assert "the newest is 48 h old" in receiver.requests[-1].body
    assert "is 48 h old" in site.korrigo("notify", "overdue", "--max-age", "3d").out
    assert "not a duration" in site.korrigo("notify", "overdue", "--max-age", "soon", code=2).err
    assert len(receiver.requests) == 4


@pytest.mark.contract("C5")
@pytest.mark.promise("P7")
def test_a_configuration_that_is_shown_does_not_show_the_addresses_in_it(site):
    slack = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
    configure(site, f"json://user:{MAIL_PASSWORD}@127.0.0.1/hooks/{TOKEN}", urls=[slack])
    shown = site.korrigo("init", "--dry-run", "--force", code=(0, 4)).output
    assert "[notify]" in shown
    assert not [secret for secret in (MAIL_PASSWORD, TOKEN, "T1JJ3T3L2") if secret in shown]


@pytest.mark.contract("B12")
@pytest.mark.contract("C5")
def test_a_backup_succeeds_despite_invalid_addresses_and_reports_them_without_secrets(site):
    configure(site, events=["success"])
    slips = {
        "KORRIGO_BACKUP_NOTIFY_URLS": f"ops-{TOKEN}@example.com slack://{TOKEN} mailto://u:{MAIL_PASSWORD}@",
        "KORRIGO_BACKUP_HEALTHCHECKS_URL": f"file:///etc/{TOKEN}",
    }
    output = [site.korrigo("backup", "--notify", env=slips).out, site.korrigo("doctor", env=slips, code=(0, 10)).out]
    for text in output:
        for name in ("channel 1", "channel 2 (slack)", "channel 3 (mailto)", "Healthchecks"):
            assert name in text
        assert not [secret for secret in (TOKEN, MAIL_PASSWORD) if secret in text]
    assert "channel 1 cannot be used: no address that Apprise knows" in output[1]
