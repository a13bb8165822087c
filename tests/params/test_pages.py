"""Docstrings and settings of plug-ins as Markdown."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from greedymm.params.pages import escape, methods_page, parse, settings_rows, settings_table
from greedymm.params.plugins import names_of
from greedymm.settings import Count, ScoringSettings, Window, choice, log_uniform, uniform

PAGE = Path(__file__).parents[2] / "docs/methods.md"

DOCSTRING = """OPM: drop features of the better branch, where a*b is a product.

    q_k = q * (1 + lambda * tanh(r_k))

    drop z_k  with probability q_k
Text that follows a formula
- here starts no list
  for two reasons:

- `a * b` is code;
- grad <- 0, <b> is no tag.

Source: Wei et al."""

BODY = r"""```text
q_k = q * (1 + lambda * tanh(r_k))

drop z_k  with probability q_k
```

Text that follows a formula
- here starts no list
  for two reasons:

- `a * b` is code;
- grad <- 0, \<b> is no tag.

Source: Wei et al."""


class Own(ScoringSettings):
    objective: Literal["multi"] = Field("multi", description="all |losses|")
    active: Window = Window(stop=5)
    alpha: float = Field(gt=0, le=2, json_schema_extra=log_uniform(0.1, 2.0))
    p: float = Field(default=0.5, ge=0, le=1, json_schema_extra=uniform(0.1, 0.9))
    on: bool = Field(default=True, json_schema_extra=choice(False, True))
    shift: float = 0.0
    epochs: tuple[Count, ...] = ()
    file: str | None = None
    parts: tuple[Window, ...] = ()


# -- The page -----------------------------------------------------------------------------------------------


def test_the_page_is_that_of_the_code(call: Callable[..., str]) -> None:
    assert call("methods") == PAGE.read_text(encoding="utf-8"), "renew it with: greedymm methods > docs/methods.md"


@pytest.mark.parametrize("kind", ["method", "fusion", "head", "measure"])
def test_every_plug_in_has_a_section_with_a_sentence_and_a_link_to_it(kind: str) -> None:
    lines = methods_page().split("\n")

    for name in names_of(kind):
        assert lines[lines.index(f"### {name}") + 2].endswith(".")
        assert sum(line.startswith(f"| [{name}](#{name}) | ") for line in lines) == 1


def test_links_lead_to_files_and_every_block_of_formulas_ends() -> None:
    page = methods_page()

    targets = [part.partition(")")[0] for part in page.split("](../")[1:]]
    assert targets
    assert all((PAGE.parents[1] / target).is_file() for target in targets)
    assert page.count("```text") == page.count("\n```\n")


# -- Docstrings ---------------------------------------------------------------------------------------------


def test_formulas_are_code_and_paragraphs_are_text() -> None:
    text = parse(DOCSTRING)

    assert text.first == r"**OPM**: drop features of the better branch, where a\*b is a product."
    assert text.body == BODY


def test_a_wrapped_paragraph_is_one_line_and_a_sentence_needs_no_name() -> None:
    text = parse("One head for all.\n\nIts logits are y\n= W z. It has\nno bias.")

    assert text.first == "One head for all."
    assert text.body == "Its logits are y = W z. It has no bias."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("theta_k and s_k <- 2 * x", "theta_k and s_k <- 2 * x"),
        ("_x_ and `_y_`", r"\_x_ and `_y_`"),
        ("**kwargs", r"\*\*kwargs"),
        ("p<M, p < M", r"p\<M, p < M"),
    ],
)
def test_only_what_markdown_would_read_as_markup_is_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


# -- Settings -----------------------------------------------------------------------------------------------


def test_a_setting_has_its_default_its_values_its_range_of_tuning_and_its_meaning() -> None:
    rows = settings_rows(Own)

    assert rows["objective"] == ("`multi`", "`multi`", "", "all |losses|")
    assert rows["active.stop"][:2] == ("`5`", "integer ≥ 1 or `null`")
    assert rows["active.every"][:2] == ("`1`", "integer ≥ 1")
    assert rows["alpha"] == ("required", "> 0, ≤ 2", "0.1 to 2, log-uniform", "")
    assert rows["p"] == ("`0.5`", "0 to 1", "0.1 to 0.9", "")
    assert rows["on"] == ("`true`", "`true`, `false`", "`false`, `true`", "")
    assert rows["shift"] == ("`0.0`", "number", "", "")
    assert rows["epochs"] == ("`[]`", "list of integer ≥ 1", "", "")
    assert rows["file"] == ("`null`", "string or `null`", "", "")
    assert rows["parts"] == ("`[]`", "list", "", "")


def test_a_table_has_no_empty_columns_and_no_bar_in_a_cell() -> None:
    table = settings_table({"objective": settings_rows(Own)["objective"]})

    assert table.split("\n") == [
        "| setting | default | values | meaning |",
        "| --- | --- | --- | --- |",
        r"| `objective` | `multi` | `multi` | all \|losses\| |",
    ]
    assert settings_table({}) == ""


def test_settings_that_a_method_shares_are_named_in_its_section_and_explained_once() -> None:
    page = methods_page()
    section = page.split("### ogm_ge\n")[1].partition("\n### ")[0]

    assert "| `evidence` |" in page
    assert "| `evidence` |" not in section  # methods with another default explain it again
    assert section.endswith("Shared settings: `active`, `evidence`, `objective`.\n")
