"""A real reader of chips, by PC/SC. It needs the extra `pcsc` (`make devices`) and the service pcscd, and says so."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from sdk.window.devices.reader import CardGoneError, CardSilentError, ChipError, ReaderError

T = TypeVar("T")
ANSWER_SECONDS: Final = 15.0
"""How long a chip may take for one command; the slowest write a key, or ask for more time."""
_GRACE_SECONDS: Final = 5.0
_LEAVES_SECONDS: Final = 2.0
"""Within so long the service has noticed that a card was pulled out."""

_AGAIN_SECONDS: Final = 0.1

_NOT_INSTALLED: Final = "本机没有安装读卡器组件：请安装 libpcsclite-dev 和 C 编译器，再运行 make devices。"
_NO_SERVICE: Final = "读卡器服务未运行：请安装并启动 pcscd 后重试。"
_NO_READER: Final = "没有找到读卡器，请检查连接后重试。"
_IN_USE: Final = "卡片正被其他程序使用，请关闭该程序后重试。"


class _Connected(NamedTuple):
    context: Any
    name: str
    card: Any
    protocol: Any


def readers() -> list[str]:
    """What readers are attached, as PC/SC calls them. Raises ReaderError."""
    scard = _library()
    context = _context(scard)
    try:
        return _list(scard, context)
    finally:
        scard.SCardReleaseContext(context)


class PcscReader:
    """A CardReader. The card belongs to this program alone from `connect` to `disconnect`."""

    def __init__(self, name: str = "", answer_seconds: float = ANSWER_SECONDS) -> None:
        """`name`: or its beginning; empty: the first reader. Raises ReaderError where PC/SC is not installed."""
        self._scard = _library()
        self._name = name
        self._answer_seconds = answer_seconds
        self._connected: _Connected | None = None

    def connect(self, patience_seconds: float) -> bytes:
        """Wait for a card, power it up; its ATR."""
        self.disconnect()
        context = _within(_GRACE_SECONDS, lambda: _context(self._scard))
        try:
            name = self._find(context)
            card, protocol, atr = self._insert(context, name, time.monotonic() + patience_seconds)
        except BaseException:
            self._scard.SCardReleaseContext(context)
            raise
        self._connected = _Connected(context, name, card, protocol)
        return atr

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to a command."""
        connected = self._connected
        if connected is None:
            raise CardGoneError
        try:
            result, answer = _within(
                self._answer_seconds, lambda: self._scard.SCardTransmit(connected.card, connected.protocol, list(apdu))
            )
            if result != self._scard.SCARD_S_SUCCESS:
                self._fail(result, connected)
            if not answer:  # so says a driver whose card was pulled out meanwhile
                self._fail(self._scard.SCARD_E_NOT_TRANSACTED, connected)
        except ChipError:
            self.disconnect()
            raise
        return bytes(answer)

    def disconnect(self) -> None:
        """Power the card down."""
        connected, self._connected = self._connected, None
        if connected is None:
            return

        def let_go() -> None:
            self._scard.SCardDisconnect(connected.card, self._scard.SCARD_UNPOWER_CARD)
            self._scard.SCardReleaseContext(connected.context)

        try:
            _within(_GRACE_SECONDS, let_go)
        except CardSilentError:
            return  # the service drops it when this program ends

    def _insert(self, context: Any, name: str, until: float) -> tuple[Any, Any, bytes]:
        """A card that was there a moment ago may be gone, and the next one not powered yet: so it is tried again."""
        while True:
            left = max(0.0, until - time.monotonic())
            _within(left + _GRACE_SECONDS, lambda: self._wait_for_card(context, name, left))  # noqa: B023 - called at once
            try:
                card, protocol = _within(self._answer_seconds, lambda: self._power_up(context, name))
            except CardGoneError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_SECONDS)
                continue
            return card, protocol, _within(_GRACE_SECONDS, lambda: self._wait_for_card(context, name, 0))

    def _find(self, context: Any) -> str:
        for name in _list(self._scard, context):
            if name.startswith(self._name):
                return name
        raise ReaderError(_NO_READER)

    def _wait_for_card(self, context: Any, name: str, patience_seconds: float) -> bytes:
        scard = self._scard
        known = scard.SCARD_STATE_UNAWARE
        left_ms = round(patience_seconds * 1000)
        while True:  # at first it tells at once how things are, then what changes
            result, told = scard.SCardGetStatusChange(context, left_ms, [(name, known)])
            if result == scard.SCARD_E_TIMEOUT:
                raise CardGoneError
            if result != scard.SCARD_S_SUCCESS:
                self._fail(result)
            _, state, atr = told[0]
            if state & scard.SCARD_STATE_MUTE:
                raise CardSilentError
            if state & scard.SCARD_STATE_PRESENT:
                return bytes(atr)
            if state & (scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_UNKNOWN):
                raise ReaderError(_NO_READER)
            if not left_ms:
                raise CardGoneError
            known = state & ~scard.SCARD_STATE_CHANGED

    def _power_up(self, context: Any, name: str) -> tuple[Any, Any]:
        scard = self._scard
        result, card, protocol = scard.SCardConnect(
            context, name, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        )
        if result != scard.SCARD_S_SUCCESS:
            self._fail(result)
        return card, scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1

    def _fail(self, result: int, connected: _Connected | None = None) -> NoReturn:
        """By its name."""
        scard = self._scard
        gone = {
            scard.SCARD_W_REMOVED_CARD,
            scard.SCARD_W_RESET_CARD,
            scard.SCARD_W_UNPOWERED_CARD,
            scard.SCARD_E_NO_SMARTCARD,
        }
        silent = {
            scard.SCARD_W_UNRESPONSIVE_CARD,
            scard.SCARD_E_NOT_TRANSACTED,
            scard.SCARD_F_COMM_ERROR,
            scard.SCARD_E_TIMEOUT,
            scard.SCARD_E_PROTO_MISMATCH,
        }
        if result in gone:
            raise CardGoneError
        if result in silent:
            raise CardGoneError if connected and self._leaves(connected) else CardSilentError
        if result == scard.SCARD_E_SHARING_VIOLATION:
            raise ReaderError(_IN_USE)
        raise ReaderError(_reader_says(scard, result))

    def _leaves(self, connected: _Connected) -> bool:
        """Whether the card that did not answer is being pulled out: the service notices it a moment later."""
        scard = self._scard
        known = scard.SCARD_STATE_UNAWARE
        while True:
            result, told = scard.SCardGetStatusChange(
                connected.context, round(_LEAVES_SECONDS * 1000), [(connected.name, known)]
            )
            if result != scard.SCARD_S_SUCCESS:
                return False
            state = told[0][1]
            if not state & scard.SCARD_STATE_PRESENT:
                return True
            known = state & ~scard.SCARD_STATE_CHANGED


def _library() -> Any:
    try:
        from smartcard import scard  # noqa: PLC0415 - an extra that most machines do without
    except ImportError:
        raise ReaderError(_NOT_INSTALLED) from None
    return scard


def _context(scard: Any) -> Any:
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        raise ReaderError(_NO_SERVICE)
    return context


def _list(scard: Any, context: Any) -> list[str]:
    result, names = scard.SCardListReaders(context, [])
    if result == scard.SCARD_E_NO_READERS_AVAILABLE:
        return []
    if result != scard.SCARD_S_SUCCESS:
        raise ReaderError(_reader_says(scard, result))
    return list(names)


def _reader_says(scard: Any, result: int) -> str:
    if result in (scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED):
        return _NO_SERVICE
    if result in (scard.SCARD_E_NO_READERS_AVAILABLE, scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_READER_UNAVAILABLE):
        return _NO_READER
    return f"{ReaderError.says}（{result & 0xFFFFFFFF:08X}）"


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What the library answers in time; it has no limits of its own. Raises CardSilentError, or what `call` raises."""
    told: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def work() -> None:
        try:
            told.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again, by whoever waits
            told.put((None, error))

    Thread(target=work, daemon=True).start()
    try:
        answer, error = told.get(timeout=seconds)
    except queue.Empty:
        raise CardSilentError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value] # there is an answer where there is no error
