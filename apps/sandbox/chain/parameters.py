"""Reading a request's parameters: typed values by place, and a refusal that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.sandbox.chain.refused import INVALID_PARAMS, Refused

Config = dict[str, Any]


class Parameters(Sequence[Any]):
    """The parameters of a request by place; reading one that is wrong refuses it by name."""

    def __init__(self, given: Any) -> None:
        if given is not None and not isinstance(given, list):
            raise Refused(INVALID_PARAMS, "Invalid params: expected an array")
        self._given: list[Any] = given or []

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, place: Any) -> Any:
        return self._given[place]

    def config(self, place: int) -> Config:
        given = self._given[place] if len(self._given) > place else None
        if given is not None and not isinstance(given, dict):
            raise Refused(INVALID_PARAMS, "Invalid params: expected an object")
        return given or {}

    def text(self, place: int, name: str) -> str:
        if len(self._given) <= place or not isinstance(self._given[place], str):
            raise Refused(INVALID_PARAMS, f"Invalid params: {name} is missing")
        return str(self._given[place])

    def whole(self, place: int, name: str) -> int:
        if len(self._given) <= place or type(self._given[place]) is not int or not 0 <= self._given[place] < 2**64:
            raise Refused(INVALID_PARAMS, f"Invalid params: {name} must be a whole number")
        return int(self._given[place])

    def read(self, place: int, parse: Callable[[str], Any], name: str) -> Any:
        try:
            return parse(self.text(place, name))
        except ValueError as error:
            raise Refused(INVALID_PARAMS, f"Invalid param: {error}") from None

    def key(self, place: int) -> Pubkey:
        return read_key(self.text(place, "address"))

    def keys(self, place: int, *, most: int) -> list[Pubkey]:
        return [read_key(text) for text in self._listed(place, most)]

    def signatures(self, place: int, *, most: int) -> Iterable[Signature]:
        try:
            return [Signature.from_string(text) for text in self._listed(place, most)]
        except ValueError as error:
            raise Refused(INVALID_PARAMS, f"Invalid param: {error}") from None

    def _listed(self, place: int, most: int) -> list[str]:
        given = self._given[place] if len(self._given) > place else None
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise Refused(INVALID_PARAMS, "Invalid params: expected an array of strings")
        if len(given) > most:
            raise Refused(INVALID_PARAMS, f"Too many inputs provided; max {most}")
        return given


def read_key(text: Any) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except (ValueError, TypeError) as error:
        raise Refused(INVALID_PARAMS, f"Invalid param: {error}") from None
