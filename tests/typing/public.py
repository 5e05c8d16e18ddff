"""What `busbridge` exports, for the type checkers: never run. Each `type: ignore` is an error they must find."""

from __future__ import annotations

from typing import assert_type

import busbridge
from busbridge import Contract, load

print(busbridge.Buss)  # type: ignore[attr-defined]

assert_type(Contract(), busbridge.Contract)
assert_type(load("busbridge.yaml"), busbridge.Config)
