"""A template and its content -> one self-contained HTML page."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from greedymm.files import write_text


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write a page. The template extends page.html.j2; its filter `embed` turns a PNG file into an address."""
    loader = PackageLoader("greedymm", "analysis")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters["embed"] = _embed
    write_text(path, pages.get_template(template).render(content))


def _embed(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
