"""A template and what it shows -> one self-contained HTML page."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from greedymm.files import write_text


def address(picture: Path) -> str:
    """A PNG file itself, as an address."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Write a page; the template extends page.html.j2."""
    environment = Environment(
        loader=PackageLoader("greedymm", "analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(path, environment.get_template(template).render(content))
