"""Telling cannot fail or hold up a run, and no address gets out."""

import subprocess
import sys
import threading

import pytest

from korrigo_backup.core.secret import Secret, redact
from korrigo_backup.notify import notifier as port
from korrigo_backup.notify.address import parts, secrets
from korrigo_backup.notify.event import Event
from korrigo_backup.notify.healthchecks import address
from korrigo_backup.notify.notifier import NotTold, TryAgain, persistent
from korrigo_backup.notify.send import Announcer

ALL = frozenset(Event)


class Channel:
    """A channel that does what its test wants when it is told."""

    def __init__(self, name, act=lambda _: None, events=ALL):
        self.name, self.events, self.received = name, events, []
        self._act = act

    def send(self, notice, *, seconds):  # noqa: ARG002 - the port says so
        self.received.append(notice)
        self._act(notice)

    def flaw(self):
        return "" if self.name.startswith("good") else f"{self.name} is wrong"


def failing(problem):
    def act(notice):
        raise problem

    return act


def test_a_channel_that_fails_breaks_or_hangs_does_not_prevent_the_others():
    never, good = threading.Event(), Channel("good")
    channels = (
        Channel("refusing", failing(NotTold("it answers 403"))),
        Channel("broken", failing(RuntimeError("https://x/t0ken"))),
        Channel("hanging", lambda _: never.wait()),
        good,
        Channel("not asked", failing(RuntimeError), frozenset({Event.START})),
    )
    announcer = Announcer("korrigo", "production", channels, seconds=2)
    findings = announcer.tell(announcer.notice(Event.FAILURE, "backup"))
    never.set()
    assert [finding.message for finding in findings] == [
        "notification not sent to refusing: it answers 403",
        "notification not sent to broken: unexpected RuntimeError",
        "notification not sent to hanging: no answer within 2 s",
    ]
    assert len(good.received) == 1


def test_a_check_names_the_recipients_and_the_wrong_addresses_without_sending():
    channels = (Channel("good"), Channel("bad"), Channel("good too"))
    found = Announcer("s", "e", channels).checked()
    assert [(one.level, one.message) for one in found] == [
        ("warning", "bad cannot be used: bad is wrong"),
        ("ok", "notified when a backup fails: good, good too"),
    ]
    assert not [channel for channel in channels if channel.received]
    assert [one.id for one in Announcer().checked()] == ["notify.nobody"]


@pytest.mark.contract("C5")
def test_no_secret_is_shown_and_none_is_in_a_finding():
    good = Channel("good")
    bad = Channel("bad", failing(NotTold("cannot reach https://x/t0ken-t0ken")))
    announcer = Announcer("s", "e", (good, bad), secrets=(Secret("hunter22"), Secret("t0ken-t0ken")))
    (finding,) = announcer.tell(announcer.notice(Event.FAILURE, "backup", message="password hunter22"))
    assert good.received[0].message == "password ***"
    assert finding.message == "notification not sent to bad: cannot reach https://x/***"
    assert "hunter22" not in repr(announcer)


def test_an_announcer_without_channels_is_silent_and_imports_no_library():
    assert Announcer().silent
    assert Announcer().tell(Announcer().notice(Event.FAILURE, "backup")) == ()
    code = (
        "import sys, korrigo_backup.cli.main, korrigo_backup.cli.backup, korrigo_backup.cli.notify; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "korrigo_backup.cli.notify" in loaded
    assert not {
        "korrigo_backup.notify.apprise_",
        "urllib.request",
        "apprise",
        "requests",
        "urllib3",
        "yaml",
        "markdown",
        "asyncio",
    } & set(loaded)


@pytest.mark.parametrize(
    ("problems", "tries"), [([], 1), ([TryAgain("a")], 2), ([NotTold("b")], 1), ([TryAgain("a")] * 9, 4)]
)
def test_a_send_is_retried_only_after_try_again_and_three_times_at_most(monkeypatch, problems, tries):
    monkeypatch.setattr(port, "_PAUSE", 0.0)
    tried, left = [], list(problems)

    def attempt(seconds):
        tried.append(seconds)
        if left:
            raise left.pop(0)

    if len(problems) >= tries:
        with pytest.raises(NotTold):
            persistent(attempt, seconds=9)
    else:
        persistent(attempt, seconds=9)
    assert len(tried) == tries
    assert all(0 < seconds <= 9 for seconds in tried)


def test_no_try_begins_after_the_limit():
    tried = []

    def attempt(seconds):
        tried.append(seconds)
        raise TryAgain("refused")

    with pytest.raises(TryAgain):
        persistent(attempt, seconds=0.5)  # the pause alone would be longer
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("url", "hidden", "shown"),
    [
        ("mailtos://me%40a.example:p%20w%C3%A9%21@mail.a.example?to=ops@a.example", ["p%20w%C3%A9%21", "p wé!"], ["a.example"]),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", ["T1JJ3T3L2", "TIiajkdnlazkcOXrIdevi7FQ"], ["general"]),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/xyz", ["T1JJ3T3L2"], ["hooks.slack.com", "services"]),
        ("https://hc-ping.com/7d1e0b4c-0000-4f6e-9d0b-aaaaaaaaaaaa", ["7d1e0b4c-0000-4f6e-9d0b-aaaaaaaaaaaa"], ["hc-ping.com"]),
        ("mailto://smtp2.example2.com:25?to=ops2@example2.com", [], ["smtp2.example2.com", "example2.com"]),
        ("json://192.168.100.10/hook/K3y-K3y-K3y", ["K3y-K3y-K3y"], ["192.168.100.10"]),
        ("json://user:pa55w0rd@host/hooks/incoming?+X-Key=K3y-K3y-K3y", ["pa55w0rd", "K3y-K3y-K3y"], ["incoming", "hooks"]),
    ],
)  # fmt: skip
def test_the_secrets_of_an_address_are_known_and_its_words_are_not_taken_for_any(url, hidden, shown):
    for word in hidden:
        assert redact(f"x {word} y", secrets(Secret(url))) == "x *** y"
        assert redact(f"x {word} y", parts(Secret(url))) == "x *** y"
    for word in shown:
        assert redact(f"x {word} y", secrets(Secret(url))) == f"x {word} y"
    assert redact(f"at {url}", secrets(Secret(url))) == "at ***"


def test_an_address_that_cannot_be_taken_apart_is_a_secret_as_a_whole():
    assert redact("at json://[::1/x!", secrets(Secret("json://[::1/x"))) == "at ***!"


def test_a_ping_goes_below_the_path_of_the_check_and_before_its_query():
    assert address("https://hc-ping.com/uuid", "/start", "R") == "https://hc-ping.com/uuid/start?rid=R"
    assert address("https://a/ping/key/slug/?create=1", "", "R") == "https://a/ping/key/slug?create=1&rid=R"
    assert address("https://hc-ping.com/uuid", "/log", "") == "https://hc-ping.com/uuid/log"
