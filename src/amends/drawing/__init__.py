"""A definition's graph as text, as Mermaid and as SVG.

    from amends.drawing import mermaid, plan, svg, text

    print(text(plan(place_order)))

    plan      what is drawn: a tree of pieces, made from a definition or from what a store keeps of one
    text      for a terminal              mermaid   for Markdown
    svg       a picture by itself         layout    where its pieces stand
    rollback_text, rollback_mermaid, rollback_html     a table of `lint.rollback`, in rollback_words

Rules of this package: pure; it knows nothing but `core`, and draws also what a later release adds to graphs,
as a box with its name.
"""

from __future__ import annotations

from .mermaid import mermaid
from .plan import Mark, Names, Plan, names_of, plan
from .rollback_html import rollback_html
from .rollback_mermaid import rollback_mermaid
from .rollback_text import rollback_text
from .svg import svg
from .text import text

__all__ = [
    "Mark", "Names", "Plan", "mermaid", "names_of", "plan", "rollback_html", "rollback_mermaid", "rollback_text", "svg",
    "text",
]  # fmt: skip
