"""The address at which the site's health is asked: learnt from what the project publishes, tried, never guessed."""

import pytest

import health_server
from korrigo_backup.compose.address import learnt
from korrigo_backup.compose.container import Container, Port


def answering(path):
    return health_server.answering(lambda asked: asked == path)


def container(service, *ports, check="", running=True):
    return Container(
        service,
        service,
        running,
        "running",
        None,
        frozenset(),
        (),
        check=check,
        ports=tuple(Port(*one) for one in ports),
    )


def found(*containers):
    return learnt(containers, backend="backend", database="db")


BACKEND = "CMD curl -f http://localhost:8000/api/health/"
PROXY = "CMD curl -f http://localhost/"


def test_a_proxy_that_publishes_is_found_with_the_path_of_the_backend():
    with answering("/api/health/") as port:
        proxy = container("nginx", ("127.0.0.1", port, 80), check=PROXY)
        assert found(container("backend", check=BACKEND), proxy) == f"http://localhost:{port}/api/health/"


def test_the_backends_own_port_comes_first():
    with answering("/up") as own, answering("/up") as other:
        backend = container("backend", ("0.0.0.0", own, 8000), check="CMD wget http://127.0.0.1:8000/up")  # noqa: S104
        assert found(container("nginx", ("", other, 80)), backend) == f"http://localhost:{own}/up"


@pytest.mark.parametrize("path", ["/", "/nginx-health"])
def test_a_page_of_the_proxy_alone_is_not_used_as_health_address(path):
    with answering(path) as port:
        proxy = container("nginx", ("127.0.0.1", port, 80), check=f"CMD curl http://localhost{path}")
        assert found(container("backend", check=BACKEND), proxy) is None


def test_neither_the_database_nor_a_service_that_is_stopped_is_asked():
    with answering("/api/health/") as port:
        assert found(container("db", ("127.0.0.1", port, 5432))) is None
        assert found(container("backend", ("127.0.0.1", port, 8000), running=False)) is None
        assert found(container("backend", ("127.0.0.1", port, 8000))) == f"http://localhost:{port}/api/health/"
