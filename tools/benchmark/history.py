"""Runs kept: one small JSON file each in bench/history/, which is meant to be committed when a run is worth it."""

import datetime
import json
import pathlib
import subprocess

from benchmark.rows import Figure, Figures
from harness.plan import TOP

FOLDER = TOP / "bench/history"
FORMAT = 1


def first_line(*argv: str) -> str:
    """The first line that a command shows; empty when it fails."""
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def record(linux_version: str, modes: dict[str, dict[str, Figures]]) -> dict:
    """A run as it is kept. `modes` is mode to system to figures."""
    changed = "+" if first_line("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": first_line("git", "rev-parse", "--short", "HEAD") + changed,
        "qemu": first_line("qemu-system-x86_64", "--version"),
        "linux": linux_version,
        "modes": {
            mode: {system: {name: plain(figure) for name, figure in figures.items()} for system, figures in systems.items()}
            for mode, systems in modes.items()
        },
    }


def plain(figure: Figure) -> list | str:
    """A figure in JSON: value and unit, or the reason why there is none."""
    return figure.reason if figure.value is None else [round(figure.value, 2), figure.unit]


def figures_of(run: dict, mode: str, system: str) -> Figures:
    """A run's figures; none where the run had no such mode or system."""
    kept = run["modes"].get(mode, {}).get(system, {})
    return {name: Figure(None, "", value) if isinstance(value, str) else Figure(*value) for name, value in kept.items()}


def save(run: dict, folder: pathlib.Path = FOLDER) -> pathlib.Path:
    """Writes a run; its name is its time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run['date'].replace(':', '')}.json"
    path.write_text(json.dumps(run, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def load(folder: pathlib.Path = FOLDER) -> list[dict]:
    """Every run that is kept, oldest first; what is not of this format is left out."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(run, dict) and run.get("format") == FORMAT:
            runs.append(run)
    return runs


def latest(runs: list[dict], mode: str, system: str) -> dict | None:
    """The latest run that has this mode of this system."""
    return next((run for run in reversed(runs) if run["modes"].get(mode, {}).get(system)), None)
