"""Debian packages, fetched and unpacked but not installed: nothing of the machine is changed, and nothing needs root.

Packages lie in build/cache/packages. The machine's own package lists are used; where they are absent or too old, lists
of our own are fetched beside the packages.
"""

import pathlib
import re
import subprocess

from harness.plan import TOP

CACHE = TOP / "build/cache/packages"
FETCH_SECONDS = 300
# A package that is only there for installing: nothing in it is needed by a program that runs.
INSTALLERS = {"debconf", "dpkg", "tar", "perl-base", "install-info", "ucf", "init-system-helpers", "sensible-utils"}


class NoPackage(Exception):
    """A package could not be had; the text says which and why."""


def apt(command: str, *words: str, own_lists: bool, folder: str) -> subprocess.CompletedProcess:
    """One run of apt-get or apt-cache in a folder of the cache."""
    options = ["-o", "APT::Sandbox::User=root"]
    if own_lists:
        options += ["-o", f"Dir::State::Lists={CACHE}/lists", "-o", f"Dir::Cache={CACHE}/apt", "-o", "Debug::NoLocking=true"]
    work = CACHE / folder
    work.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(
            [command, *options, *words], cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=FETCH_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NoPackage(f"there is no {command} here: only Debian and its descendants have these packages") from None
    except subprocess.TimeoutExpired:
        raise NoPackage(f"`{command} {' '.join(words)}` was not done after {FETCH_SECONDS} s") from None


def asked(command: str, *words: str, folder: str = ".") -> str:
    """What apt answers, by the machine's lists or, when it fails with those, by fresh ones of our own."""
    done = apt(command, *words, own_lists=False, folder=folder)
    if done.returncode != 0:
        for needed in ("lists/partial", "apt/archives/partial"):
            (CACHE / needed).mkdir(parents=True, exist_ok=True)
        apt("apt-get", "update", own_lists=True, folder=folder)
        done = apt(command, *words, own_lists=True, folder=folder)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("E: ")
        raise NoPackage(f"`{command} {' '.join(words)}` failed: {reason}")
    return done.stdout


def depends_of(names: list[str]) -> list[str]:
    """What these packages depend on directly; of alternatives the first."""
    found, alternative = [], False
    for line in asked("apt-cache", "depends", "--important", *names).splitlines():
        match = re.fullmatch(r" (.)(?:Pre)?Depends: (\S+)", line)
        if match:
            if not alternative and not match.group(2).startswith("<"):
                found.append(match.group(2))
            alternative = match.group(1) == "|"
    return found


def closure(names: list[str]) -> list[str]:
    """These packages and all that they depend on, sorted, without what only installing needs."""
    known: set[str] = set()
    todo = list(names)
    while todo:
        known.update(todo)
        todo = sorted({name for name in depends_of(todo) if name not in known and name not in INSTALLERS})
    return sorted(known)


def fetch(names: list[str]) -> list[pathlib.Path]:
    """The packages' files, in the order of the names; those that lie in the cache are not fetched again."""
    files = []
    # In an empty folder: apt names no file that lies there already.
    lines = asked("apt-get", "download", "--print-uris", *names, folder="empty").splitlines()
    for line in lines:
        match = re.match(r"'[^']*' (\S+\.deb) ", line)
        if match:
            files.append(CACHE / match.group(1))
    if len(files) != len(set(names)):
        raise NoPackage(f"apt names {len(files)} files for the {len(names)} packages {' '.join(names)}")
    absent = [path for path in files if not path.exists()]
    if absent:
        asked("apt-get", "download", *(path.name.split("_")[0] for path in absent))
    for path in files:
        if not path.exists():
            raise NoPackage(f"apt-get download did not bring {path.name}")
    return files


def version_of(package: pathlib.Path) -> str:
    """`name version` of a package's file."""
    done = subprocess.run(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(package)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NoPackage(f"{package.name} is broken: {done.stderr.strip()}; delete it and try again")
    return done.stdout


def unpack(package: pathlib.Path, root: pathlib.Path) -> None:
    """The package's files into a tree, with their permissions but as the user's own; links from directory to directory that
    are there already are followed, as dpkg does (/bin is one to /usr/bin)."""
    root.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as archive:
        command = ["tar", "-x", "-f", "-", "-C", str(root), "--keep-directory-symlink", "--no-same-owner", "-p"]
        done = subprocess.run(command, stdin=archive.stdout, capture_output=True, text=True, check=False)
        archive.stdout.close()
        reason = archive.stderr.read().decode(errors="replace").strip() or done.stderr.strip()
    if done.returncode != 0 or archive.returncode != 0:
        raise NoPackage(f"{package.name} does not unpack: {reason}; delete it and try again")
