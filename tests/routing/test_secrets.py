"""A password is told to nobody: not in a fault, not in a repr, not in a log."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busbridge.errors import ConfigurationError
from busbridge.routing import load
from tests.routing.helpers import write

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2xyz"


def test_a_password_in_a_url_is_taken_out_when_it_is_loaded() -> None:
    url = f"amqp://shop:{SECRET}%40@host:5672/vhost"
    settings = load({"transports": {"broker": {"url": url}}}, environ={}).transports["broker"]
    assert (settings.url, settings.user) == ("amqp://host:5672/vhost", "shop")
    assert settings.password is not None
    assert settings.password.get_secret_value() == f"{SECRET}@"


def test_user_and_password_of_their_own_keys_win_over_the_url() -> None:
    source = {"transports": {"broker": {"url": "amqp://a:b@host", "user": "c", "password": SECRET}}}
    settings = load(source, environ={}).transports["broker"]
    assert settings.user == "c"
    assert settings.password is not None
    assert settings.password.get_secret_value() == SECRET


def test_no_repr_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    tls = {"certificate": "c.pem", "key": "k.pem", "key_password": SECRET}
    client = {"sasl.oauthbearer.client.secret": SECRET}
    source = {"transports": {"broker": {"url": f"amqps://u:{SECRET}@host", "tls": tls, "client": client}}}
    with caplog.at_level(logging.DEBUG):
        config = load(source, environ={"BUSBRIDGE_TRANSPORTS__BROKER__PASSWORD": SECRET})
    for shown in (config, config.transports, config.transports["broker"].tls, config.places, caplog.text):
        assert SECRET not in f"{shown!r} {shown!s}"


@pytest.mark.parametrize(
    "transport",
    [
        f"{{url: 'amqp://u:{SECRET}@ho st'}}",
        f"{{url: 'amqp:/u:{SECRET}@host'}}",
        f"{{url: 'amqp//u:{SECRET}@host'}}",
        f"{{url: 'amqp://u:{SECRET}/@host'}}",
        f"{{url: 'amqp://u:a@{SECRET}@host'}}",
        f"{{url: 'amqp://u:{SECRET}'}}",
        f"{{url: 'nope://u:{SECRET}@host'}}",
        f"{{url: 'amqp://host?password={SECRET}'}}",
        f"{{url: [{SECRET}]}}",
        f"{{url: 'memory://', password: [{SECRET}]}}",
        f"{{url: 'memory://', password: {{a: {SECRET}}}}}",
        f"{{url: 'memory://', password: {SECRET}}}",
        f"{{url: 'memory://', user: ['amqp://u:{SECRET}@host']}}",
        f"{{url: 'memory://', mechanism: 'amqp://u:{SECRET}@host'}}",
        f"{{url: 'memory://', tls: {{key_password: [{SECRET}]}}}}",
        f"{{url: 'memory://', tls: 'u:{SECRET}@host'}}",
        f"{{url: 'memory://', client: {{sasl.password: [{SECRET}]}}}}",
        f"{{url: 'memory://', 'amqp://u:{SECRET}@host': 1}}",
        f"{{url: 'memory://', password: *{SECRET}}}",
        f"{{url: 'memory://', password: !{SECRET} [}}",
        f"{{url: 'memory://', password: @{SECRET}}}",
        f"{{url: 'memory://', password: %{SECRET}}}",
        f"{{url: 'memory://', password: ${{{SECRET} }}}}",
        f"{{url: 'memory://', password: \"{SECRET}}}",
        f"{{url: 'memory://', password: \"\\{SECRET}\"}}",
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, transport: str) -> None:
    path = write(tmp_path, "busbridge.yaml", f"transports: {{broker: {transport}}}\nroutes: 1")
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@settings(deadline=None, max_examples=60)
@given(st.text("abc:/@?#%[]{}'\"\\ \n", max_size=12), st.text("abc:/@?#%[]{}'\"\\ \n", max_size=12))
def test_no_fault_shows_the_password_of_any_url(before: str, after: str) -> None:
    url = f"amqp://u{before}:{SECRET}{after}@host"
    try:
        shown = repr(load({"transports": {"broker": {"url": url}}}, environ={}).transports)
    except ConfigurationError as error:
        shown = str(error)
    assert SECRET not in shown
