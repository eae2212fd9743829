"""A printer for where there is none: it makes the PDF of a card, and keeps it only where it is asked to."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from sdk.window.devices.making import made, why_not
from sdk.window.devices.printer import READY, CannotPrintError, CardFace, Printed, PrinterState
from sdk.window.devices.type import NoTypeError, find_type


class PdfPrinter:
    """Keeps cards in a folder of their own, that nobody else may enter; without one they are on no disk at any time."""

    def __init__(self, keep_in: Path | None = None) -> None:
        self._folder = keep_in
        self.kept: Path | None = None
        """Where the last card is."""

    def ready(self) -> PrinterState:
        """Whether there is type, and a folder to keep cards in, if any."""
        try:
            find_type()
        except NoTypeError as error:
            return PrinterState("NO_CHINESE_TYPE", str(error))
        if self._folder is None:
            return READY
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folder.stat()
        except OSError as error:
            return PrinterState("FOLDER_UNUSABLE", f"打印输出文件夹无法使用（{error.strerror}），请联系系统管理员。")
        if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
            return PrinterState("FOLDER_OPEN_TO_OTHERS", "打印输出文件夹可被他人读取，已停止打印，请联系系统管理员。")
        return READY

    def refuses(self, face: CardFace) -> str:
        """What the type lacks, or the face has no room for."""
        return why_not(face)

    def print(self, face: CardFace) -> Printed:
        """Make it, and keep it if asked to."""
        if not self.ready().ready:
            return Printed.FAILED_BEFORE
        try:
            pdf = made(face)
            self.kept = None if self._folder is None else _keep(self._folder, pdf)
        except (CannotPrintError, OSError):
            return Printed.FAILED_BEFORE
        return Printed.DONE


def _keep(folder: Path, pdf: bytes) -> Path:
    """Under a name that says nothing of anybody. OSError: nothing of it is left."""
    file = folder / f"card-{secrets.token_hex(8)}.pdf"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as opened:
            opened.write(pdf)
    except BaseException:
        file.unlink()
        raise
    return file
