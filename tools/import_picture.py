"""The picture of the imports in ``docs/architecture.md``: ``python -m tools.import_picture --write
docs/architecture.md``."""

from __future__ import annotations

from pathlib import Path

from tests.graph import import_graph, package_graph, picture
from tools.fidelity import write_block

BEGIN = "<!-- imports: written by python -m tools.import_picture --write docs/architecture.md -->"
END = "<!-- imports end -->"


def block() -> str:
    """Return the picture of this checkout."""
    return picture(package_graph(import_graph(Path(__file__).resolve().parents[1])))


def main() -> None:
    """Print the picture, or write it into a document."""
    write_block("Imports between packages, as a Mermaid diagram.", block, BEGIN, END)


if __name__ == "__main__":
    main()
