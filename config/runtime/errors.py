"""The one error of this package: something the operator can act on, said in a sentence."""


class StartError(Exception):
    """A start or stop that cannot go on; its text is printed alone, without a traceback, and the exit code is 1."""
