"""What the signer may be asked, field by field; anything else is no request. What was wrong is named, never shown."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator, BeforeValidator
from solders.pubkey import Pubkey

from apps.core import base58
from apps.wallets.signer.reasons import Reason, Refused

_LONGEST_TRANSACTION_TEXT = 8192


def _address(text: str) -> str:
    if not base58.is_address(text):
        raise ValueError("not an address")
    return text


def _bytes(value: object) -> object:
    if not isinstance(value, str) or len(value) > _LONGEST_TRANSACTION_TEXT:
        raise ValueError("not base64")
    return b64decode(value, validate=True)


Address = Annotated[str, Field(max_length=44), AfterValidator(_address)]
OrderId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Amount = Annotated[int, Field(ge=1, lt=2**64)]
Transaction = Annotated[bytes, BeforeValidator(_bytes), Field(repr=False)]
Passphrase = Annotated[SecretStr, Field(max_length=1024)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class SignSwap(_Request):
    op: Literal["sign_swap"]
    order_id: OrderId
    wallet: Address
    side: Literal["buy", "sell"]
    mint: Address
    in_base_units: Amount
    minimum_out_base_units: Amount
    transaction: Transaction


class SignReclaim(_Request):
    op: Literal["sign_reclaim"]
    order_id: OrderId
    wallet: Address
    mint: Address
    token_account: Address
    transaction: Transaction


class Status(_Request):
    op: Literal["status"]


class Figures(_Request):
    op: Literal["figures"]


class Create(_Request):
    op: Literal["create"]
    name: Annotated[str, Field(max_length=60)] = ""
    passphrase: Passphrase


class Import(_Request):
    op: Literal["import"]
    file: dict[str, Any]


class Unlock(_Request):
    op: Literal["unlock"]
    address: Address
    passphrase: Passphrase


class Lock(_Request):
    op: Literal["lock"]
    address: Address


class Export(_Request):
    op: Literal["export"]
    address: Address
    passphrase: Passphrase


Request = SignSwap | SignReclaim | Status | Figures | Create | Import | Unlock | Lock | Export
_any: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="op")])


def read(line: bytes) -> Request:
    """Read one line.

    Raises:
        Refused: BAD_REQUEST, with the names of the fields that are wrong.
    """
    try:
        return _any.validate_json(line)
    except ValidationError as error:
        places = {".".join(str(part) for part in each["loc"][1:2]) for each in error.errors(include_input=False)}
        names = ", ".join(sorted(name for name in places if name.isidentifier())) or "its form"
    except RecursionError:
        names = "its form"
    raise Refused(Reason.BAD_REQUEST, f"The request is not understood: {names}.")


def key(text: str) -> Pubkey:
    return Pubkey.from_string(text)
