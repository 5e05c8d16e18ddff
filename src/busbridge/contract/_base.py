"""`Contract`, the class that users derive their messages from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict

from busbridge.contract._change import validated
from busbridge.contract._faults import class_error, did_you_mean, source_location
from busbridge.contract._info import ContractInfo
from busbridge.contract._metadata import KEYWORDS, metadata_problem
from busbridge.contract._upcasting import described, upcaster_problem, version_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from busbridge.contract._upcasting import Upcaster
    from busbridge.errors import ContractError

    U = TypeVar("U", bound=Upcaster)


class Contract(BaseModel):
    """What may be said: a pydantic model with a name and a version.

        class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=1, key="order_id"):
            order_id: str

    `name` and `version` make it concrete. `readable_by`, needed from version 2, is the lowest version whose readers may
    read this one. `key` is the field whose value keeps messages in order. A class that states none of them is an
    abstract base, whatever it derives from: metadata is never inherited. Other keywords are pydantic's own.

    Messages are immutable, since one is shared by all who publish and handle it; `frozen=False` undoes that. Unknown
    fields of a body are ignored, so that old readers can read new versions. Bytes travel as base64url: `-` and `_`
    for `+` and `/` (RFC 4648). Numbers that JSON has no word for are refused. pydantic's errors don't show the input,
    which may be a secret.

    What is constructed, or changed by `model_copy`, fits the contract. `model_construct` checks nothing, nor does an
    assignment to a message that is not frozen, unless `validate_assignment=True`: what these make is published as it
    is, as long as its values are of the right types.

    Whatever is wrong with the metadata is a ContractError at the class statement.
    """

    model_config = ConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    __contract__: ClassVar[ContractInfo | None] = None
    """The metadata. None: an abstract base."""
    __upcasters__: ClassVar[dict[int, Upcaster]] = {}
    """The steps that stand on this class, by the version they begin at."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int | None = None,
        readable_by: int | None = None,
        key: str | None = None,
        **config: Unpack[ConfigDict],
    ) -> None:
        # pydantic has taken its own keywords away before: what is left is nobody's. The fields don't exist yet, so the
        # metadata is looked at below.
        for keyword in config:
            problem = f"unknown keyword {keyword!r}{did_you_mean(keyword, [*KEYWORDS, *ConfigDict.__annotations__])}"
            raise class_error(cls, source_location(cls.__module__), problem)
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int | None = None,
        readable_by: int | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__upcasters__ = {}
        cls.__contract__ = None
        if (name, version, readable_by, key) == (None, None, None, None):
            return
        location = source_location(cls.__module__)
        problem = metadata_problem(cls.__pydantic_fields__, name, version, readable_by, key)
        if problem or name is None or version is None:
            raise class_error(cls, location, problem or "no metadata")
        cls.__contract__ = ContractInfo(name, version, readable_by or version, key, location)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with the fields in `update` changed. They are validated with the others, as in constructing it.

        Raises pydantic's ValidationError where the changed message does not fit its contract. What is not in `update`
        is taken over as it is, private attributes too.
        """
        return super().model_copy(update=validated(self, update) if update else None, deep=deep)

    @classmethod
    def upcaster(cls, from_version: int) -> Callable[[U], U]:
        """Registers one step: the JSON object of `from_version` in, that of the next version out.

        Steps for older versions stand on the newest class too, since old classes get deleted: on version 3,
        `from_version=1` leads to 2 and `from_version=2` to 3. Returns the function unchanged.

        ContractError for a step that this class already has, that does not lead towards its version, for a coroutine
        function, without parentheses, or on an abstract base.
        """
        misuse = version_problem(cls.__name__, from_version)
        if misuse:
            raise class_error(cls, source_location(cls.__module__), misuse)

        def register(upcaster: U) -> U:
            problem = upcaster_problem(upcaster, info_of(cls).version, from_version, cls.__upcasters__)
            if problem:
                raise class_error(cls, source_location(cls.__module__), f"{described(upcaster)}: {problem}")
            cls.__upcasters__[from_version] = upcaster
            return upcaster

        return register


def info_of(contract: type[Contract]) -> ContractInfo:
    """The metadata of a concrete contract. ContractError for an abstract base."""
    info = contract.__contract__
    if info is None:
        raise abstract_error(contract)
    return info


def abstract_error(contract: type[Contract]) -> ContractError:
    """What says that an abstract base was used as a contract."""
    return class_error(contract, "", "an abstract base is no contract; state its name and version")
