import sys

import pytest

from sdk.window.devices.pcsc import PcscReader, readers
from sdk.window.devices.reader import ReaderError


def test_without_its_library_a_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smartcard", None)
    with pytest.raises(ReaderError, match=r"libpcsclite-dev.*make devices"):
        PcscReader()
    with pytest.raises(ReaderError, match="make devices"):
        readers()
