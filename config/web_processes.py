"""Several web processes behind one port: each child serves a listening socket of its own, the parent restarts children.

The parent opens the sockets and keeps them: connections to one whose process has just died wait for the next. It is
small, imports none of the application, and ends when a child says by its exit code that it cannot serve at all.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from config.runtime.launch import end_with_parent

log = structlog.get_logger("config.web")

CANNOT_SERVE = 1
STOP_SECONDS = 8.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
#: A child that lived this long starts anew without a pause.
SETTLED_SECONDS = 30.0
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class WebProcesses:
    """Runs `serve(listener)` in a child per listener until told to stop."""

    def __init__(self, listeners: Sequence[socket.socket], serve: Callable[[socket.socket], NoReturn]) -> None:
        self._listeners, self._serve = listeners, serve
        self._children: dict[int, int] = {}
        self._started_at = [0.0] * len(listeners)
        self._pauses = [FIRST_PAUSE_SECONDS] * len(listeners)
        self._stopping = False

    def run(self) -> int:
        """Keep every child alive; return the exit code."""
        for number in _STOPPING:
            signal.signal(number, self._stop)
        for place in range(len(self._listeners)):
            self._start(place)
        code = 0
        while self._children:
            pid, status = os.waitpid(-1, 0)
            place = self._children.pop(pid)
            ended = os.waitstatus_to_exitcode(status)
            if ended == CANNOT_SERVE:
                code = ended
                self._stop()
            if not self._stopping:
                log.warning("web_process_ended", place=place, pid=pid, code=ended)
                self._pause(place)
                self._start(place)
        return code

    def _start(self, place: int) -> None:
        """Fork a child, unless told to stop before it could be told as well."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        if not self._stopping:
            self._started_at[place] = time.monotonic()
            pid = os.fork()
            if pid == 0:
                self._become_child(place)
            self._children[pid] = place
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def _become_child(self, place: int) -> NoReturn:
        for number in _STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        end_with_parent()
        for other, listener in enumerate(self._listeners):
            if other != place:
                listener.close()
        try:
            self._serve(self._listeners[place])
        finally:
            os._exit(CANNOT_SERVE)  # it raised: serving ends by exiting

    def _pause(self, place: int) -> None:
        """Wait before a child that keeps dying is started again, longer each time."""
        if time.monotonic() - self._started_at[place] > SETTLED_SECONDS:
            self._pauses[place] = FIRST_PAUSE_SECONDS
        time.sleep(self._pauses[place])
        self._pauses[place] = min(self._pauses[place] * 2, LONGEST_PAUSE_SECONDS)

    def _stop(self, *_signal: object) -> None:
        """Ask every child to end; those that have not after `STOP_SECONDS` are killed."""
        if self._stopping:
            return
        self._stopping = True
        self._tell(signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: self._tell(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._children:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
