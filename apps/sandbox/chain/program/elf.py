"""The file in which the virtual machine takes a program: ELF64, with the functions it calls as dynamic relocations.

Only what the loader of version 0 programs looks at is in it. Every section lies in memory where it lies in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack

_HEADER_BYTES, _PROGRAM_HEADER_BYTES, _SECTION_HEADER_BYTES = 64, 56, 64
_SHARED_OBJECT, _MACHINE_BPF = 3, 247
_LOADED, _DYNAMIC_TABLE = 1, 2
_CODE, _STRINGS, _DYNAMIC, _RELOCATIONS, _SYMBOLS = 1, 3, 6, 9, 11
_EXECUTABLE, _READABLE = 1, 4
_ALLOCATED, _INSTRUCTIONS = 2, 4
_DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_REL, _DT_RELSZ, _DT_RELENT = 5, 6, 10, 11, 17, 18, 19
_CALL_RELOCATION = 10
_GLOBAL = 0x10
_SYMBOL_BYTES, _RELOCATION_BYTES = 24, 16


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    kind: int
    content: bytes
    offset: int
    flags: int = _ALLOCATED
    link: int = 0
    entry_bytes: int = 0

    @property
    def end(self) -> int:
        return self.offset + len(self.content)


def shared_object(code: bytes, calls: Sequence[tuple[int, str]]) -> bytes:
    """Return the file of a program that starts with its first instruction.

    `calls` are the places in the code, in bytes, where a function of the machine is called, and its name.
    """
    functions = list(dict.fromkeys(name for _, name in calls))
    start = _HEADER_BYTES + 3 * _PROGRAM_HEADER_BYTES
    text = _Section(".text", _CODE, code, start, _ALLOCATED | _INSTRUCTIONS)
    names, places = _strings(functions)
    symbols = bytes(_SYMBOL_BYTES) + b"".join(pack("<IBBHQQ", places[name], _GLOBAL, 0, 0, 0, 0) for name in functions)
    dynsym = _Section(".dynsym", _SYMBOLS, symbols, _aligned(text.end), link=3, entry_bytes=_SYMBOL_BYTES)
    dynstr = _Section(".dynstr", _STRINGS, names, dynsym.end)
    relocations = b"".join(
        pack("<QQ", text.offset + at, (functions.index(name) + 1) << 32 | _CALL_RELOCATION) for at, name in calls
    )
    rel = _Section(".rel.dyn", _RELOCATIONS, relocations, _aligned(dynstr.end), link=2, entry_bytes=_RELOCATION_BYTES)
    table = (
        (_DT_REL, rel.offset),
        (_DT_RELSZ, len(relocations)),
        (_DT_RELENT, _RELOCATION_BYTES),
        (_DT_SYMTAB, dynsym.offset),
        (_DT_SYMENT, _SYMBOL_BYTES),
        (_DT_STRTAB, dynstr.offset),
        (_DT_STRSZ, len(names)),
        (0, 0),
    )
    dynamic = _Section(".dynamic", _DYNAMIC, b"".join(pack("<QQ", *row) for row in table), rel.end, link=3)
    listed = [text, dynsym, dynstr, rel, dynamic]
    section_names, name_places = _strings([*(section.name for section in listed), ".shstrtab"])
    listed.append(_Section(".shstrtab", _STRINGS, section_names, dynamic.end, flags=0))
    headers_at = _aligned(listed[-1].end)
    file = bytearray(headers_at)
    file[:_HEADER_BYTES] = _header(text.offset, headers_at, len(listed) + 1)
    file[_HEADER_BYTES:start] = (
        _program_header(_LOADED, _READABLE | _EXECUTABLE, text.offset, text.end)
        + _program_header(_LOADED, _READABLE, dynsym.offset, dynamic.end)
        + _program_header(_DYNAMIC_TABLE, _READABLE, dynamic.offset, dynamic.end)
    )
    for section in listed:
        file[section.offset : section.end] = section.content
    return (
        bytes(file)
        + bytes(_SECTION_HEADER_BYTES)
        + b"".join(_section_header(section, name_places[section.name]) for section in listed)
    )


def _header(entry: int, section_headers_at: int, sections: int) -> bytes:
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    return identity + pack(
        "<HHIQQQIHHHHHH",
        _SHARED_OBJECT,
        _MACHINE_BPF,
        1,
        entry,
        _HEADER_BYTES,
        section_headers_at,
        0,
        _HEADER_BYTES,
        _PROGRAM_HEADER_BYTES,
        3,
        _SECTION_HEADER_BYTES,
        sections,
        sections - 1,
    )


def _program_header(kind: int, flags: int, start: int, end: int) -> bytes:
    return pack("<IIQQQQQQ", kind, flags, start, start, start, end - start, end - start, 8)


def _section_header(section: _Section, name_at: int) -> bytes:
    address = section.offset if section.flags & _ALLOCATED else 0
    size = len(section.content)
    return pack(
        "<IIQQQQIIQQ",
        name_at,
        section.kind,
        section.flags,
        address,
        section.offset,
        size,
        section.link,
        0,
        1 if section.kind == _STRINGS else 8,
        section.entry_bytes,
    )


def _strings(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    """Return names behind each other, each ended by a zero, and where each begins."""
    table, places = b"\0", {}
    for name in names:
        places[name] = len(table)
        table += name.encode() + b"\0"
    return table, places


def _aligned(offset: int) -> int:
    return -(-offset // 8) * 8
