"""The outage as visitors have it: from the first request that fails to the first that is answered after it."""

import time

from health_server import answering
from korrigo_backup.site.outage import watched


def wait_for_refusal(outage):
    assert outage
    while outage.refused is None:
        time.sleep(0.05)


def test_an_address_that_always_answers_has_no_outage():
    with answering(lambda _: True) as port, watched(f"http://127.0.0.1:{port}/") as outage:
        assert outage
        assert outage.seconds() == 0


def test_the_seconds_are_those_without_an_answer():
    down: list[bool] = []
    with answering(lambda _: not down) as port, watched(f"http://127.0.0.1:{port}/") as outage:
        down.append(True)
        wait_for_refusal(outage)
        again = time.monotonic()
        down.clear()
        assert outage
        seconds = outage.seconds()
        refused, served = outage.refused, outage.served
        assert refused
        assert served
        assert seconds == served - refused
        assert served > again > refused


def test_an_outage_that_is_not_over_has_no_seconds(monkeypatch):
    monkeypatch.setattr("korrigo_backup.site.outage._GRACE", 0.1)
    down: list[bool] = []
    with answering(lambda _: not down) as port, watched(f"http://127.0.0.1:{port}/") as outage:
        down.append(True)
        wait_for_refusal(outage)
        assert outage
        assert outage.seconds() is None


def test_an_outage_is_not_measured_without_a_health_address():
    with watched(None) as outage:
        assert outage is None
