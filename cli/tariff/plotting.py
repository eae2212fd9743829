"""How the change of what riders pay is spread, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES: Final = (".pdf", ".png", ".svg")
MISSING: Final = "a plot needs matplotlib, which the extra `city` brings: pip install 'onecard[city]'"
_MORE, _LESS, _SAME, _INK = "#c0582b", "#2f6db3", "#8a93a0", "#333333"
_MOST_BINS: Final = 40


class NoPlotError(Exception):
    """The picture cannot be drawn here; the message says what would help."""


def refuse_plot(file: Path) -> None:
    """Raises NoPlotError for a kind of file that is not drawn, and where the library is missing."""
    if file.suffix not in SUFFIXES:
        raise NoPlotError(f"{file}: a plot is a file that ends with {', '.join(SUFFIXES)}")
    if not file.absolute().parent.is_dir():
        raise NoPlotError(f"{file}: there is no folder {file.absolute().parent}")
    if find_spec("matplotlib") is None:
        raise NoPlotError(MISSING)


def plot_changes(changes_fen: Sequence[int], file: Path) -> None:
    """A histogram of riders by how much more or less they pay."""
    # Here and not above: who plots nothing needs no matplotlib, and does not wait for it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _INK}):
        figure = Figure(figsize=(7.2, 4), layout="constrained")
        _draw(figure.subplots(), changes_fen)
        figure.savefig(file, dpi=150)


def _draw(axes: Axes, changes_fen: Sequence[int]) -> None:
    yuan = np.asarray(changes_fen, dtype=np.float64) / 100
    parts = [(yuan[yuan < 0], "less", _LESS), (yuan[yuan == 0], "the same", _SAME), (yuan[yuan > 0], "more", _MORE)]
    width = _width(yuan)
    for values, words, colour in parts:
        if not len(values):
            continue
        # A bin is named by its end that is away from zero, and no change has one of its own.
        away = np.ceil(np.round(np.abs(values) / width, 9)) * np.sign(values)
        middles, counts = np.unique(away * width, return_counts=True)
        axes.bar(middles, counts, width * 0.92, color=colour, label=f"{words}: {len(values):,}")
    axes.axvline(0, color=_INK, linewidth=0.8, zorder=0)
    axes.set_xlabel("change of what a rider pays for all taps, yuan")
    axes.set_ylabel("riders")
    if len(yuan):
        axes.legend(frameon=False, title=f"{len(yuan):,} riders pay")


def _width(yuan: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Of a bin: a round amount, so that not too many are needed."""
    spread = float(np.ptp(yuan)) if len(yuan) else 0.0
    steps = (step * 10.0**power for power in range(-2, 15) for step in (1, 2, 5))
    return next(step for step in steps if spread / step <= _MOST_BINS)
