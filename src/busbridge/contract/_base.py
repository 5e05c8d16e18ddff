"""`Contract`, the class that users derive their messages from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict

from busbridge.contract._faults import class_error, did_you_mean, source_location
from busbridge.contract._info import NAME_GRAMMAR, NAME_LENGTH, ContractInfo, is_name
from busbridge.contract._key import KEY_TYPES, key_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.contract._upcasting import Upcaster
    from busbridge.errors import ContractError

    U = TypeVar("U", bound=Upcaster)


class _Metadata(TypedDict, total=False):
    name: str
    version: int
    readable_by: int
    key: str


class Contract(BaseModel):
    """What may be said: a pydantic model with a name and a version.

        class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=1, key="order_id"):
            order_id: str

    `name` and `version` make it concrete. `readable_by`, needed from version 2, is the lowest version whose readers may
    read this one. `key` is the field whose value keeps messages in order. A class that states none of them is an
    abstract base, whatever it derives from: metadata is never inherited. Other keywords are pydantic's own.

    Messages are immutable, since one is shared by everything that publishes or handles it; `frozen=False` undoes that.
    Unknown fields of a body are ignored, so that old readers can read new versions. Bytes travel as base64. Numbers that
    JSON has no word for are refused. pydantic's errors never show the input, which may be a secret.

    Everything wrong with the metadata is a ContractError at the class statement.
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
        # pydantic takes its own keywords away before this is called: what is left is nobody's.
        for keyword in config:
            known = [*_Metadata.__annotations__, *ConfigDict.__annotations__]
            problem = f"unknown keyword {keyword!r}{did_you_mean(keyword, known)}"
            raise class_error(cls, source_location(cls.__module__), problem)
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, **metadata: Unpack[_Metadata]) -> None:  # type: ignore[override]
        cls.__upcasters__ = {}
        location = source_location(cls.__module__)
        stated: dict[str, Any] = {keyword: value for keyword, value in metadata.items() if value is not None}
        problem = _problem(cls, **stated) if stated else None
        if problem:
            raise class_error(cls, location, problem)
        cls.__contract__ = ContractInfo(**{"readable_by": 1, "location": location} | stated) if stated else None

    @classmethod
    def upcaster(cls, from_version: int) -> Callable[[U], U]:
        """Registers one step: the JSON object of `from_version` in, that of the next version out.

        Steps for older versions stand on the newest class too, since old classes get deleted: on version 3,
        `from_version=1` leads to 2 and `from_version=2` to 3. Returns the function unchanged.

        ContractError for a step that this class already has, that does not lead towards its version, or on an
        abstract base.
        """

        def register(upcaster: U) -> U:
            problem = cls._upcaster_problem(from_version)
            if problem:
                raise class_error(cls, source_location(upcaster.__module__), problem)
            cls.__upcasters__[from_version] = upcaster
            return upcaster

        return register

    @classmethod
    def _upcaster_problem(cls, from_version: int) -> str | None:
        if cls.__contract__ is None:
            return "an abstract base has no versions to lift; state name and version"
        if not 1 <= from_version < cls.__contract__.version:
            return f"no step leads from version {from_version} towards version {cls.__contract__.version}"
        if from_version in cls.__upcasters__:
            return f"a second upcaster from version {from_version}; the first is {cls.__upcasters__[from_version]!r}"
        return None


def info_of(contract: type[Contract]) -> ContractInfo:
    """The metadata of a concrete contract. ContractError for an abstract base."""
    info = contract.__contract__
    if info is None:
        raise abstract_error(contract)
    return info


def abstract_error(contract: type[Contract]) -> ContractError:
    """What says that an abstract base was used as a contract."""
    return class_error(contract, "", "an abstract base is not a contract; state name and version")


def _problem(cls: type[Contract], *, name: object = None, version: object = None, **rest: Any) -> str | None:
    """What is wrong with the metadata, the first thing found."""
    if not isinstance(name, str):
        return "a contract needs a name; or state no keyword at all for an abstract base"
    if not is_name(name):
        return f"name={name!r} must be {NAME_GRAMMAR}, at most {NAME_LENGTH} characters"
    if not _is_version(version):
        return f"version={version!r}: a contract needs a version, a whole number from 1"
    return _readable_problem(version, rest.get("readable_by")) or _key_problem(cls, rest.get("key"))


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _readable_problem(version: Any, readable_by: Any) -> str | None:
    if readable_by is None:
        return "readable_by is needed from version 2: the lowest version whose readers may read this one" if version > 1 else None
    if not _is_version(readable_by) or readable_by > version:
        return f"readable_by={readable_by!r} must be a version from 1 to {version}"
    return None


def _key_problem(cls: type[Contract], key: str | None) -> str | None:
    if key is None:
        return None
    field = cls.__pydantic_fields__.get(key)
    if field is None:
        return f"key={key!r} is no field{did_you_mean(key, cls.__pydantic_fields__)}"
    if not key_text(field.annotation):
        return f"key={key!r} is of a type whose text is not canonical or may be absent; take {KEY_TYPES}"
    return None
