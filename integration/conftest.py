"""The brokers as fixtures. How they come: integration/README.md.

A broker that cannot be had is an error that says what to do, never a skip.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from integration.brokers import (
    Broker,
    BrokerSet,
    BrokersUnavailableError,
    DockerError,
    Kafka,
    PostgreSQL,
    RabbitMQ,
    ensure_engine,
    machine_lock,
    make_certificates,
    start_kafka,
    start_postgresql,
    start_rabbitmq,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.brokers import Certificates

pytest_plugins = ["pytester"]

B = TypeVar("B", bound=Broker)

_HERE = Path(__file__).parent
_OWN_NAME = "busbridge-pytest-"
_PROCESS_OF = re.compile(r"busbridge-(?:pytest|test)-(\d+)\b")  # the second is the name that scripts/test gives
_TEST_SECONDS = 300  # a test may start a broker first, or wait for one that comes back
_LOGIN_BY_CERTIFICATE = """
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is in this folder; a time limit of a test's own stays."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.brokers)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


@pytest.fixture(scope="session")
def broker_set() -> Iterator[BrokerSet]:
    """The set that this process's containers belong to; all are removed at the end, whatever happened.

    BUSBRIDGE_BROKER_SET names it for a script that removes the set itself: then it is shared by several processes, none
    of which knows when the others have done with it.
    """
    _remove_orphans()
    named = os.environ.get("BUSBRIDGE_BROKER_SET")
    brokers = BrokerSet(named or f"{_OWN_NAME}{os.getpid()}")
    yield brokers
    if not named:
        brokers.down()


def _remove_orphans() -> None:
    """Removes the sets of runs that were killed before they could do it."""
    with machine_lock("orphans"):
        for name in BrokerSet.names():
            if (match := _PROCESS_OF.match(name)) and not Path(f"/proc/{match[1]}").exists():
                BrokerSet(name).down()


@contextmanager
def _or_instructions() -> Iterator[None]:
    """Turns what keeps a broker from us into a failure that shows the instructions and no traceback."""
    try:
        yield
    except (BrokersUnavailableError, DockerError) as error:
        pytest.fail(str(error), pytrace=False)


def _shared(broker_set: BrokerSet, kind: str, type_: type[B]) -> B:
    with _or_instructions():
        broker = broker_set.up([kind])[kind]
    assert isinstance(broker, type_)
    return broker


@pytest.fixture(scope="session")
def rabbitmq(broker_set: BrokerSet) -> RabbitMQ:
    """RabbitMQ 4, shared by all tests: use names of your own, leave no fault behind."""
    return _shared(broker_set, "rabbitmq", RabbitMQ)


@pytest.fixture(scope="session")
def rabbitmq_3_10(broker_set: BrokerSet) -> RabbitMQ:
    """The oldest RabbitMQ that busbridge promises to work with, shared by all tests."""
    return _shared(broker_set, "rabbitmq-3.10", RabbitMQ)


@pytest.fixture(scope="session")
def kafka(broker_set: BrokerSet) -> Kafka:
    """Kafka, shared by all tests: use names of your own, leave no fault behind."""
    return _shared(broker_set, "kafka", Kafka)


@pytest.fixture(scope="session")
def postgresql(broker_set: BrokerSet) -> PostgreSQL:
    """PostgreSQL, shared by all tests."""
    return _shared(broker_set, "postgresql", PostgreSQL)


@pytest.fixture
def new_rabbitmq(broker_set: BrokerSet) -> Iterator[Callable[..., RabbitMQ]]:
    """Makes a RabbitMQ for this test alone; takes what `start_rabbitmq` takes."""
    with ExitStack() as stack:
        yield lambda **options: _fresh(stack, start_rabbitmq, broker_set, options)


@pytest.fixture
def new_kafka(broker_set: BrokerSet) -> Iterator[Callable[..., Kafka]]:
    """Makes a Kafka for this test alone; takes what `start_kafka` takes."""
    with ExitStack() as stack:
        yield lambda **options: _fresh(stack, start_kafka, broker_set, options)


@pytest.fixture
def new_postgresql(broker_set: BrokerSet) -> Iterator[Callable[..., PostgreSQL]]:
    """Makes a PostgreSQL for this test alone."""
    with ExitStack() as stack:
        yield lambda: _fresh(stack, start_postgresql, broker_set, {})


def _fresh(stack: ExitStack, start: Callable[..., B], broker_set: BrokerSet, options: dict[str, Any]) -> B:
    with _or_instructions():
        ensure_engine()
        broker = start(broker_set.private_name, **options)
        stack.callback(broker.remove)
        broker.wait_until_ready()
    return broker


@pytest.fixture(scope="session")
def _spare_rabbitmq(broker_set: BrokerSet) -> Iterator[RabbitMQ]:
    with ExitStack() as stack:
        yield _fresh(stack, start_rabbitmq, broker_set, {})


@pytest.fixture(scope="session")
def _spare_kafka(broker_set: BrokerSet) -> Iterator[Kafka]:
    with ExitStack() as stack:
        yield _fresh(stack, start_kafka, broker_set, {"with_line": True})


@pytest.fixture
def private_rabbitmq(_spare_rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """A RabbitMQ that this test may harm; it is healed for the next test, but keeps what was declared on it."""
    yield _spare_rabbitmq
    _spare_rabbitmq.heal()


@pytest.fixture
def private_kafka(_spare_kafka: Kafka) -> Iterator[Kafka]:
    """A Kafka that this test may harm; it is healed for the next test, but keeps its Kafka topics."""
    yield _spare_kafka
    _spare_kafka.heal()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, certificates for the brokers and a client, and a stranger's from another authority."""
    with _or_instructions():
        return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def rabbitmq_tls(broker_set: BrokerSet, certificates: Certificates) -> Iterator[RabbitMQ]:
    """RabbitMQ with a TLS listener (`tls_url`) that takes clients with and without a certificate.

    By the mechanism EXTERNAL the name in the certificate is a login.
    """
    options = {"certificates": certificates, "settings": _LOGIN_BY_CERTIFICATE}
    with ExitStack() as stack:
        broker = _fresh(stack, start_rabbitmq, broker_set, options)
        broker.exec("rabbitmq-plugins", "--quiet", "enable", "rabbitmq_auth_mechanism_ssl")
        yield broker


@pytest.fixture(scope="session")
def rabbitmq_mutual_tls(broker_set: BrokerSet, certificates: Certificates) -> Iterator[RabbitMQ]:
    """RabbitMQ with a TLS listener (`tls_url`) that refuses clients without a certificate."""
    options = {"certificates": certificates, "client_certificate_required": True}
    with ExitStack() as stack:
        yield _fresh(stack, start_rabbitmq, broker_set, options)


@pytest.fixture(scope="session")
def kafka_secure(broker_set: BrokerSet, certificates: Certificates) -> Iterator[Kafka]:
    """Kafka with listeners for TLS and SASL (`secure`), and its user known to SCRAM as well."""
    with ExitStack() as stack:
        broker = _fresh(stack, start_kafka, broker_set, {"certificates": certificates})
        assert broker.secure is not None
        broker.add_scram_user(broker.secure.user, broker.secure.password)
        yield broker
