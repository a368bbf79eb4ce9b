"""Check the types of the whole project, every module under the name that it is imported by.

The folders ``methods`` and ``datasets`` are ``vssbench.methods`` and ``vssbench.datasets`` once
installed. mypy names a module by its folder, so it gets a tree of links in which they lie there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: lies in mypy's own cache, so that the files' paths stay the same and an unchanged file is not
#: checked again
TREE = ROOT / ".mypy_cache" / "tree"
PLUGINS = ("methods", "datasets")


def build(tree: Path) -> None:
    """Fill a folder with links to the project's files; links that lead nowhere now are removed."""
    package = tree / "vssbench"
    package.mkdir(parents=True, exist_ok=True)
    wanted = {package / entry.name: entry for entry in (ROOT / "vssbench").iterdir()}
    wanted |= {package / name: ROOT / name for name in PLUGINS}
    wanted |= {tree / name: ROOT / name for name in ("bench.py", "tools")}
    for link in (*tree.iterdir(), *package.iterdir()):
        if link.is_symlink() and link not in wanted:
            link.unlink()
    for link, target in wanted.items():
        if link.is_symlink() and link.readlink() == target:
            continue
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def main() -> int:
    """Run mypy in the tree; print its messages with the files' own paths."""
    build(TREE)
    command = [
        *(sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")),
        *("--cache-dir", str(ROOT / ".mypy_cache"), *sys.argv[1:], "vssbench", "bench.py"),
    ]
    done = subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, text=True, check=False)
    printed = done.stdout
    for name in PLUGINS:
        printed = printed.replace(f"vssbench/{name}/", f"{name}/")
    print(printed, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
