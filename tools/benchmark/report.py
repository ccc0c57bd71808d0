"""bench/report.html: the last run as tables and bars, and how Russet's figures went over the runs that are kept. One file
without anything from elsewhere; the plots are SVG made here."""

import math
from html import escape

from benchmark.history import figures_of
from benchmark.machine import MODES
from benchmark.rows import Figure, Figures, gap, labels_of, number, ratio

BAR_HEIGHT, LABEL_WIDTH, PLOT_WIDTH, VALUE_WIDTH = 22, 270, 440, 45
TREND_WIDTH, TREND_HEIGHT, TREND_RUNS = 190, 44, 40
# The bars' scale is logarithmic, from a tenth to ten times Linux's cost at least.
LEAST_DECADES = 1.0

STYLE = """
:root { --page: #fcfcfb; --ink: #1b1c1d; --quiet: #63676b; --line: #dcdee0; --better: #1a7f6b; --worse: #c2571a; --trend: #2f5fb3 }
@media (prefers-color-scheme: dark) {
  :root { --page: #17181a; --ink: #e6e7e8; --quiet: #9aa0a5; --line: #35383b; --better: #45b89f; --worse: #e08a4f; --trend: #7ca5ee }
}
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem } p, li { color: var(--quiet) }
table { border-collapse: collapse; width: 100% } td, th { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } .better { color: var(--better) } .worse { color: var(--worse) } td.quiet { color: var(--quiet) }
.trends { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem }
.trends figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem } figcaption { font-size: .85rem }
svg { max-width: 100%; height: auto } svg text { fill: var(--ink); font: 12px system-ui, sans-serif } svg .quiet { fill: var(--quiet) }
"""


def bars(labels: dict[str, str], linux: Figures, russet: Figures) -> str:
    """Horizontal bars of Russet's cost by Linux's, to the left of the middle where Russet is cheaper."""
    pairs = {name: ratio(linux.get(name, gap("")), russet.get(name, gap(""))) for name in labels}
    decades = max([LEAST_DECADES, *(abs(math.log10(by)) for by in pairs.values() if by)])
    middle, scale = LABEL_WIDTH + PLOT_WIDTH / 2, (PLOT_WIDTH / 2 - VALUE_WIDTH) / decades
    height = BAR_HEIGHT * (len(labels) + 1) + 8
    parts = []
    for power in range(-math.floor(decades), math.floor(decades) + 1):
        x = middle + power * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{height}" stroke="var(--line)"/>')
        parts.append(f'<text x="{x:.1f}" y="13" text-anchor="middle" class="quiet">{10.0**power:g}×</text>')
    for i, (name, label) in enumerate(labels.items()):
        y, by = 24 + i * BAR_HEIGHT, pairs[name]
        parts.append(f'<text x="{LABEL_WIDTH - 10}" y="{y + 14}" text-anchor="end">{escape(label)}</text>')
        if by is None:
            parts.append(f'<text x="{middle + 6}" y="{y + 14}" class="quiet">no figure</text>')
            continue
        end = middle + math.log10(by) * scale
        left, width = min(middle, end), max(1.0, abs(end - middle))
        parts.append(f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{BAR_HEIGHT - 8}" rx="2" fill="var(--{judged(by)})"/>')
        anchor, x = ("end", left - 5) if by < 1 else ("start", left + width + 5)
        parts.append(f'<text x="{x:.1f}" y="{y + 14}" text-anchor="{anchor}">{times(by)}</text>')
    view = f"0 0 {LABEL_WIDTH + PLOT_WIDTH} {height}"
    return f'<svg viewBox="{view}" role="img" aria-label="Russet by Linux">{"".join(parts)}</svg>'


def judged(by: float) -> str:
    """The colour of a ratio; within a hundredth of one, neither system is better."""
    return "quiet" if abs(by - 1) < 0.01 else "better" if by < 1 else "worse"


def times(by: float) -> str:
    """A ratio as people read it."""
    return f"{by:.2f}" if by >= 0.1 else f"{by:.4f}"


def comparison(labels: dict[str, str], linux: Figures, russet: Figures) -> str:
    """The table; a missing figure shows its reason."""
    rows = []
    for name, label in labels.items():
        pair = (linux.get(name, gap("not run")), russet.get(name, gap("not run")))
        by = ratio(*pair)
        cells = "".join(f'<td class="n">{cell(figure)}</td>' for figure in pair)
        shown = '<td class="n">–</td>' if by is None else f'<td class="n {judged(by)}">{times(by)}</td>'
        rows.append(f"<tr><td>{escape(label)}</td>{cells}{shown}</tr>")
    return (
        '<table><tr><th></th><th class="n">Linux</th><th class="n">Russet</th><th class="n">ratio</th></tr>' + "".join(rows) + "</table>"
    )


def cell(figure: Figure) -> str:
    """A figure, or why there is none."""
    return escape(number(figure)) if figure.value is not None else f"<small>{escape(figure.reason)}</small>"


def trend(label: str, figures: list[Figure]) -> str:
    """A small line of one row's figures over the runs, from zero up; runs without a figure are holes in it."""
    values = [figure.value for figure in figures]
    known = [value for value in values if value is not None]
    top = max(known) or 1.0
    step = TREND_WIDTH / max(1, len(values) - 1)
    pieces, piece = [], []
    for i, value in enumerate([*values, None]):
        if value is not None:
            piece.append(f"{i * step:.1f},{TREND_HEIGHT - value / top * (TREND_HEIGHT - 6) - 2:.1f}")
        elif piece:
            pieces.append(piece)
            piece = []
    drawn = "".join(f'<polyline points="{" ".join(p)}" fill="none" stroke="var(--trend)" stroke-width="1.6"/>' for p in pieces)
    dots = "".join(f'<circle cx="{p[-1].split(",")[0]}" cy="{p[-1].split(",")[1]}" r="2.4" fill="var(--trend)"/>' for p in pieces)
    base = f'<line x1="0" x2="{TREND_WIDTH}" y1="{TREND_HEIGHT - 1}" y2="{TREND_HEIGHT - 1}" stroke="var(--line)"/>'
    latest = next(figure for figure in reversed(figures) if figure.value is not None)
    caption = f"{escape(label)}<br><b>{escape(number(latest))}</b>"
    return (
        f'<figure><figcaption>{caption}</figcaption><svg viewBox="-4 0 {TREND_WIDTH + 8} {TREND_HEIGHT}">{base}{drawn}{dots}</svg></figure>'
    )


def trends(labels: dict[str, str], runs: list[dict], mode: str) -> str:
    """Every row that has ever had a figure."""
    history = [figures_of(run, mode, "russet") for run in runs[-TREND_RUNS:]]
    history = [figures for figures in history if figures]
    shown = []
    for name, label in labels.items():
        line = [figures.get(name, gap("")) for figures in history]
        if any(figure.value is not None for figure in line):
            shown.append(trend(label, line))
    return f'<div class="trends">{"".join(shown)}</div>'


EXPLAINED = {
    "deterministic": "One CPU of the emulator, which counts: a figure without a unit is guest instructions. It repeats.",
    "disk": "Two CPUs, time as it passed, on a copy of the same image; the median of three boots.",
    "parallel": "Two CPUs, time as it passed; the median of five boots. It depends on the machine and its load.",
}


def page(listed: dict[str, dict[str, str]], runs: list[dict]) -> str:
    """The whole report, with what the program says of the rows of each mode; the last of the runs is the one it is about."""
    run = runs[-1]
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Russet beside Linux</title><style>{STYLE}</style>",
        f"<h1>Russet beside Linux</h1><p>{escape(run['date'])}, commit {escape(run['commit'])}. {escape(run['qemu'])}. "
        f"{escape(run['linux'] or 'Linux was not run.')}</p>",
        "<p>The ratio is Russet's cost by Linux's: below 1 Russet is cheaper. For bandwidths it is Linux's by Russet's.</p>",
    ]
    for mode in run["modes"]:
        labels = labels_of(listed[mode], MODES[mode].counting, MODES[mode].disk)
        linux, russet = (figures_of(run, mode, system) for system in ("linux", "russet"))
        parts.append(f"<h2>{mode.capitalize()}</h2><p>{EXPLAINED.get(mode, '')}</p>")
        parts += [bars(labels, linux, russet), comparison(labels, linux, russet)]
        parts.append(f"<h2>Russet over the runs, {escape(mode)}</h2>{trends(labels, runs, mode)}")
    return "\n".join(parts) + "\n"
