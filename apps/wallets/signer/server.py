"""The signer's door: a Unix socket for this account (and those it names), a line of JSON there, a line back."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from base64 import b64encode
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from apps.wallets.signer import requests
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.service import Signer

log = structlog.get_logger(__name__)
LONGEST_LINE = 64 * 1024
IDLE_SECONDS = 30.0
MOST_CONNECTIONS = 512
_CREDENTIALS = struct.Struct("3i")


class Door:
    """Listens until it is closed."""

    def __init__(self, signer: Signer, path: Path, client_uids: Collection[int] = ()) -> None:
        self._signer, self._path = signer, path
        self._uids = {os.geteuid(), *client_uids}
        self._open: set[asyncio.Task[None] | None] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket a killed signer left behind is taken over.

        Raises:
            Refused: NOT_ALLOWED_HERE, the folder is not the signer's own.
        """
        others = self._uids != {os.geteuid()}
        make_folder(self._path.parent, 0o711 if others else 0o700)
        with suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST_LINE)
        finally:
            os.umask(before)
        self._path.chmod(0o666 if others else 0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in list(filter(None, self._open)):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            with suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        try:
            if len(self._open) > MOST_CONNECTIONS:
                await _tell(writer, self._refusal(Reason.SIGNER_BUSY, "Too many ask at once."))
                return
            if (uid := _peer(writer)) not in self._uids:
                log.error("signer_stranger", uid=uid)
                await _tell(writer, self._refusal(Reason.NOT_ALLOWED_HERE, "This account may not talk to the signer."))
                return
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
            except ValueError:
                await _tell(writer, self._refusal(Reason.BAD_REQUEST, "The request is too long."))
                return
            if not line.endswith(b"\n"):
                return
            await _tell(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = requests.read(line)
        except Refused as refusal:
            return self._refusal(refusal.reason, refusal.message)
        try:
            return {"ok": True, **await self._signer.answer(request)}
        except Refused as refusal:
            order = getattr(request, "order_id", None)
            log.warning("signer_refused", op=request.op, order_id=order, reason=str(refusal.reason))
            return self._refusal(refusal.reason, refusal.message)
        except Exception as error:  # noqa: BLE001 - the outermost loop; a text or trace could carry what must stay here
            log.error("signer_broke", op=request.op, error=type(error).__name__, where=_where(error))
            return self._refusal(Reason.SIGNER_BROKEN, "The signer failed; asking again is safe.")

    def _refusal(self, reason: Reason, message: str) -> dict[str, Any]:
        self._signer.tally.refused(reason)
        return {"ok": False, "code": str(reason), "message": message}


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder of this account alone, or take the one that is there if it is.

    Raises:
        Refused: NOT_ALLOWED_HERE.
    """
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise Refused(Reason.NOT_ALLOWED_HERE, f"{folder} belongs to another account.")
    folder.chmod(mode)


def _peer(writer: asyncio.StreamWriter) -> int:
    """Return the account at the other end."""
    connection = writer.get_extra_info("socket")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(told)[1]
    return uid


async def _tell(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(json.dumps(answer, separators=(",", ":"), default=_text).encode() + b"\n")
    await writer.drain()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _where(error: BaseException) -> str:
    """Return the place in our code an error came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
