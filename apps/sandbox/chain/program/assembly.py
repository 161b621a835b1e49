"""The instructions of Solana's virtual machine (SBF, version 0), written down one method each, with labels to jump to.

An instruction is eight bytes: operation, registers, a signed 16-bit offset, a signed 32-bit number. A 64-bit constant
takes two. `R0` carries the result, `R1` to `R5` arguments; `R6` to `R9` outlive calls, `R10` is the stack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from struct import pack

WORD = 8
_U32 = 2**32
#: How a call of the machine's own functions looks until the loader has put the function's number in.
_UNRESOLVED = -1


class Register(IntEnum):
    R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register

_ALU = {"add": 0x07, "sub": 0x17, "mul": 0x27, "div": 0x37, "and": 0x57, "mod": 0x97, "mov": 0xB7}
_JUMP_IF = {"==": 0x15, ">": 0x25, ">=": 0x35, "!=": 0x55, "<": 0xA5, "<=": 0xB5}
_BY_REGISTER = 0x08
_LOAD = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
_STORE = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
_STORE_NUMBER = {1: 0x72, 2: 0x6A, 4: 0x62, 8: 0x7A}
_WIDE, _JUMP, _CALL, _EXIT = 0x18, 0x05, 0x85, 0x95


@dataclass(slots=True)
class Assembly:
    """A program being written. `calls` are the places, in bytes, where a function of the machine is called."""

    calls: list[tuple[int, str]] = field(default_factory=list)
    _words: list[bytes] = field(default_factory=list)
    _labels: dict[str, int] = field(default_factory=dict)
    _jumps: list[tuple[int, str]] = field(default_factory=list)

    def label(self, name: str) -> None:
        """Name the place where the next instruction will stand."""
        if name in self._labels:
            raise ValueError(f"{name} is here twice")
        self._labels[name] = len(self._words)

    def do(self, operation: str, to: Register, by: Register | int) -> None:
        """Do `to = to operation by` with 64 bits."""
        if isinstance(by, Register):
            self._add(_ALU[operation] | _BY_REGISTER, to, by)
        else:
            self._add(_ALU[operation], to, number=by)

    def constant(self, to: Register, value: int) -> None:
        """Set a register to a 64-bit number."""
        self._add(_WIDE, to, number=_signed(value % _U32))
        self._add(0, number=_signed(value // _U32))

    def load(self, to: Register, base: Register, offset: int = 0, *, size: int = 8) -> None:
        self._add(_LOAD[size], to, base, offset)

    def store(self, base: Register, offset: int, value: Register | int, *, size: int = 8) -> None:
        if isinstance(value, Register):
            self._add(_STORE[size], base, value, offset)
        else:
            self._add(_STORE_NUMBER[size], base, offset=offset, number=value)

    def jump(self, label: str) -> None:
        self._jumps.append((len(self._words), label))
        self._add(_JUMP)

    def jump_if(self, left: Register, relation: str, right: Register | int, label: str) -> None:
        """Jump when the relation holds between unsigned numbers."""
        self._jumps.append((len(self._words), label))
        if isinstance(right, Register):
            self._add(_JUMP_IF[relation] | _BY_REGISTER, left, right)
        else:
            self._add(_JUMP_IF[relation], left, number=right)

    def call(self, function: str) -> None:
        """Call a function of the machine; it takes R1 to R5 and answers in R0."""
        self.calls.append((len(self._words) * WORD, function))
        self._add(_CALL, source=R1, number=_UNRESOLVED)

    def leave(self) -> None:
        """End the program with R0."""
        self._add(_EXIT)

    def code(self) -> bytes:
        """Return the program's bytes, every jump resolved.

        Raises:
            KeyError: a jump leads nowhere.
        """
        words = list(self._words)
        for at, label in self._jumps:
            distance = self._labels[label] - at - 1
            words[at] = words[at][:2] + pack("<h", distance) + words[at][4:]
        return b"".join(words)

    def _add(self, operation: int, to: Register = R0, source: Register = R0, offset: int = 0, number: int = 0) -> None:
        self._words.append(pack("<BBhi", operation, source << 4 | to, offset, number))


def _signed(value: int) -> int:
    return value - _U32 if value >= _U32 // 2 else value
