"""A rollback table as text, Mermaid and HTML: all of it is there, and nothing that a name holds is obeyed."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from amends import Saga, parallel, step
from amends.drawing import rollback_html, rollback_mermaid, rollback_text
from amends.lint.rollback import rollback
from examples.shop.saga import place_order
from tests.drawing.structures import ODD

GOLDEN = Path(__file__).parent / "golden" / "rollback_place_order.txt"
LINE = r"""    (\w+\[""\]|\w+\(\[""\]\)|\w+ -->(\|""\|)? \w+|classDef \w+ [\w:#,-]+|class [\w,]+ \w+)"""
WIDTH = 100  # of a terminal
VOID = {"meta", "br"}


def odd_saga(name):
    """A saga whose compensations bear any name."""

    @step
    async def a(order: str) -> None: ...

    @step
    async def b(order: str) -> None: ...

    @step
    async def c(order: str) -> None: ...

    for each in (a, b):

        async def undo(order: str) -> None: ...

        undo.__name__ = name
        each.compensation(undo)
    return Saga("odd", parallel(a, b), c, deadline="1h")


class Page(HTMLParser):
    """Whether the elements of a page nest, and what it says."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.said = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def read(source):
    page = Page()
    page.feed(source)
    page.close()
    assert page.open == []
    return page


def test_the_table_of_the_shop_is_the_golden_one():
    assert rollback_text(rollback(place_order)) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*ODD, "a" * 300], ids=ascii)
def test_no_line_is_wider_than_a_terminal_nor_steers_it(name):
    lines = rollback_text(rollback(odd_saga(name))).splitlines()
    assert all(line.isprintable() for line in lines)
    assert all(len(line) <= WIDTH or max(map(len, line.split())) > WIDTH / 2 for line in lines)


@pytest.mark.parametrize("name", ODD)
def test_a_page_nests_loads_nothing_and_obeys_no_name(name):
    page = read(rollback_html(rollback(odd_saga(name))))
    assert not {tag for tag, _ in page.seen} & {"script", "link", "img", "iframe", "b"}
    assert not any(key in ("src", "href") or key.startswith("on") for _, attrs in page.seen for key in attrs)
    shown = "".join(char if char.isprintable() else "?" for char in name)
    assert f"{shown}(order = input)" in page.said


def test_a_page_has_a_heading_for_each_column_and_each_point():
    table = rollback(place_order)
    page = read(rollback_html(table))
    scopes = [attrs.get("scope") for tag, attrs in page.seen if tag == "th"]
    assert scopes == ["col"] * 4 + ["rowgroup"] * len(table.points)
    spans = [int(attrs["rowspan"]) for tag, attrs in page.seen if "rowspan" in attrs]
    assert spans == [len(point.rows) for point in table.points]
    assert {"lang": "en"} in [attrs for tag, attrs in page.seen if tag == "html"]
    assert [tag for tag, _ in page.seen].count("caption") == 1


@pytest.mark.parametrize("name", ODD)
def test_every_label_of_a_chart_is_quoted_and_holds_nothing_that_steers(name):
    source = rollback_mermaid(rollback(odd_saga(name)))
    for line in source.splitlines()[1:]:
        rest = re.sub(r'"(?:[^"\\<>`|{}\[\]()&%]|<br>)*"', '""', line)
        assert re.fullmatch(LINE, rest), line


def test_a_chart_leads_from_every_point_through_what_is_undone_to_where_it_ends():
    table = rollback(place_order)
    source = rollback_mermaid(table)
    edges = re.findall(r"^    (\w+) -->(?:\|[^|]*\|)? (\w+)$", source, re.MULTILINE)
    after = {}
    for begin, end in edges:
        after.setdefault(begin, []).append(end)
    for at, point in enumerate(table.points):
        assert len({each.split("u")[0].removesuffix("end") for each in after[f"p{at}"]}) == len(point.rows)
        for number, row in enumerate(point.rows):
            reached = [each for each in after[f"p{at}"] if each.startswith(f"p{at}r{number}")]
            for group in row.outcome.undone:
                assert len(reached) == len(group)
                (reached,) = {tuple(after[each]) for each in reached}
            assert list(reached) == [f"p{at}r{number}end"]
