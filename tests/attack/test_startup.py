"""What would only fail at the first message is refused at start, with everything else that is wrong."""

from __future__ import annotations

import pytest

from busbridge import Bus, ConfigurationError, Contract, Service
from busbridge.runtime import MemoryTransports


class Unfinished(Contract, name="shop.unfinished", version=1):
    part: NotDefinedAnywhere  # noqa: F821 - that is the point


class Stamped(Contract, name="shop.stamped", version=1, key="at"):
    at: Moment


class Moment(Contract):
    seconds: float


async def test_contracts_that_can_not_be_read_or_keyed_are_faults_like_the_others(config):
    service = Service("stock", publishes=[Stamped])
    service.subscription("reserv").handles(Unfinished)(lambda message: None)
    with pytest.raises(ConfigurationError) as caught:
        async with Bus(service, config, transports=MemoryTransports()):
            pass
    told = str(caught.value)
    assert "NotDefinedAnywhere" in told
    assert "Unfinished" in told
    assert "key='at'" in told
    assert "'shop.stamped', which has no route" in told
    assert "did you mean 'reserve'?" in told
