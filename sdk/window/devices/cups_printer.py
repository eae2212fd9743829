"""A card printer that CUPS knows. Between sent and confirmed only a person who looks at the card can tell."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from sdk.window.devices.cups import CupsError, Queue
from sdk.window.devices.making import made, why_not
from sdk.window.devices.printer import READY, CannotPrintError, CardFace, Printed, PrinterState
from sdk.window.devices.type import NoTypeError, find_type

OPTIONS = ("media=Custom.85.60x53.98mm", "print-scaling=none", "sides=two-sided-long-edge")


class CupsPrinter:
    """One queue. A card that waits in it longer than the clerk is taken out, so that it is not printed onto the next one."""

    def __init__(
        self,
        name: str,
        *,
        timeout_seconds: float = 90,
        look_again_seconds: float = 0.5,
        command_seconds: float = 15,
        options: Sequence[str] = OPTIONS,
    ) -> None:
        self._queue = Queue(name, command_seconds)
        self._timeout_seconds = timeout_seconds
        self._look_again_seconds = look_again_seconds
        self._options = options

    def ready(self) -> PrinterState:
        """Whether CUPS has the printer, it takes jobs, and none waits."""
        if not all(map(shutil.which, ("lp", "lpstat"))):
            return PrinterState("NO_CUPS", "本机没有打印服务，请安装：apt install cups cups-client。")
        try:
            find_type()
            stands, waiting = self._queue.stands(), self._queue.waiting()
        except NoTypeError as error:
            return PrinterState("NO_CHINESE_TYPE", str(error))
        except CupsError:
            return PrinterState("NO_PRINTER", f"打印服务没有应答，或没有名为“{self._queue.name}”的打印机，请检查打印机连接。")
        if " disabled since " in stands:
            return PrinterState("PRINTER_STOPPED", "打印机已停止，请检查电源、色带和卡片，然后重新启用。")
        if " not accepting requests " in stands:
            return PrinterState("PRINTER_CLOSED", "打印机不接受任务，请联系系统管理员。")
        if waiting:
            return PrinterState("QUEUE_NOT_EMPTY", "打印机队列中还有未完成的任务，请先清空队列，并检查打印机中的卡片。")
        return READY

    def refuses(self, face: CardFace) -> str:
        """What the type lacks, or the face has no room for."""
        return why_not(face)

    def print(self, face: CardFace) -> Printed:
        """Send it once, and wait for what CUPS says of it."""
        if not self.ready().ready:
            return Printed.FAILED_BEFORE
        try:
            pdf, before = made(face), self._queue.jobs()
        except (CannotPrintError, CupsError):
            return Printed.FAILED_BEFORE
        try:
            job = self._queue.send(pdf, self._options)
        except CupsError:
            return self._not_sent(before)
        try:
            return Printed.DONE if self._came_out(job) else Printed.UNKNOWN
        finally:
            self._queue.forget(job)

    def _not_sent(self, before: set[str]) -> Printed:
        """CUPS said no, or nothing. Only where it has no job more than before, nothing of it can come out."""
        try:
            return Printed.FAILED_BEFORE if self._queue.jobs() == before else Printed.UNKNOWN
        except CupsError:
            return Printed.UNKNOWN

    def _came_out(self, job: str) -> bool:
        """Whether CUPS confirms it in time; it may be away for a while."""
        until = time.monotonic() + self._timeout_seconds
        while True:
            try:
                ended = self._queue.ended(job)
            except CupsError:
                ended = None
            if ended is not None or time.monotonic() >= until:
                return ended is True
            time.sleep(self._look_again_seconds)
