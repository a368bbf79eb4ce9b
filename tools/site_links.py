"""A hook of ``mkdocs build``: links that lead out of ``docs/`` become names of files, pictures are
taken along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?:\.\./)+([^)#\s]+)[^)]*\)")
_PICTURES = (".png", ".svg")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with its links to the repository as the site can have them."""
    return inside(markdown, page.file.src_uri)


def inside(markdown: str, source: str) -> str:
    """Replace the links of a page that leave ``docs/``: a picture's by its place in the site,
    another by the file's name."""

    def replaced(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        if (
            (ROOT / "docs" / Path(source).parent / _up(match[0]) / target)
            .resolve()
            .is_relative_to(ROOT / "docs")
        ):
            return match[0]
        return f"![{text}]({target})" if mark else f"{text} (`{target}`)"

    return _LINK.sub(replaced, markdown)


def _up(link: str) -> str:
    return "../" * link.count("../")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the pictures outside ``docs/`` that pages show."""
    from mkdocs.structure.files import File

    for page in sorted((ROOT / "docs").glob("*.md")):
        for mark, _text, target in _LINK.findall(page.read_text(encoding="utf-8")):
            if mark and target.endswith(_PICTURES) and files.get_file_from_path(target) is None:
                files.append(File(target, str(ROOT), config["site_dir"], False))
    return files
