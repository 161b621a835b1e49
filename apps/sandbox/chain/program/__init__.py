"""The swap program of the sandbox chain, made at start: there is no compiler here, so it is assembled in Python.

`assembly` knows the machine's instructions, `elf` the file its loader takes, `calls` how one program calls another,
`swap` is the program itself.
"""
