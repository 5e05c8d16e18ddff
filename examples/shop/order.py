"""What a customer hands to checkout."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_Name = Annotated[str, Field(pattern=r"^[\w.:-]{1,100}$")]


def _iso_date(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


class Order(BaseModel):
    """One order, before anybody is told of it."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    order_id: _Name
    customer_id: _Name
    date: Annotated[date, BeforeValidator(_iso_date)]
    items: Annotated[int, Field(ge=1, le=1_000_000)]
    total: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
    """US dollars."""

    @property
    def total_cents(self) -> int:
        """What the services reckon with."""
        return int(self.total * 100)
