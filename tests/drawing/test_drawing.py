"""What is drawn is what the graph says, in each of the three ways; and nothing that a name holds is obeyed."""

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from amends import Saga, choose, parallel, sleep, step, wait_for, when
from amends.core.graph import structure_of
from amends.drawing import Mark, mermaid, plan, svg, text
from amends.drawing.layout import place
from amends.drawing.plan import TONES, Form
from amends.errors import UsageError
from examples.shop.saga import place_order
from examples.trip import book_trip
from tests.drawing.structures import structure, structures

SHOP = """\
place_order v1
├─ validate_order        read only
├─ create_order          ↩ cancel_order
├─ reserve_payment       ↩ release_payment  probe
├─ parallel
│  ├─ reserve_inventory  ↩ release_inventory
│  └─ reserve_courier    ↩ cancel_courier
├─ choose
│  ├─ over_limit
│  │  ├─ ◷ approval      signal, at most 3s
│  │  └─ check_approval  read only
│  └─ otherwise: nothing
├─ ◆ capture_payment     pivot, probe
└─ create_shipment       retriable
on completed
└─ send_confirmation
on compensated
└─ send_apology
"""


def test_the_shop_is_drawn_as_a_tree_with_the_names_of_its_functions():
    assert text(plan(place_order)) == SHOP


def test_without_its_functions_a_structure_is_drawn_by_what_is_stored():
    stored = text(plan(structure_of(place_order.graph)))
    assert "├─ reserve_payment       ↩  probe\n" in stored
    assert "│  ├─ condition 1\n" in stored and "◷ approval      signal\n" in stored


@step
async def first(order: dict) -> None: ...


@first.compensation
async def unfirst(order: dict) -> None: ...


def is_large(order: dict) -> bool: ...


def nap(order: dict) -> float: ...


def test_waits_sleeps_conditions_and_what_follows_a_timeout_are_drawn():
    saga = Saga(
        "all",
        sleep("1h"),
        wait_for("go", dict, timeout="1d", on_timeout=first.named("late")),
        choose(when(is_large, first.named("a")), when(lambda order: True, ()), otherwise=sleep(nap)),
        first.named("last"),
        input=dict,
    )
    assert text(plan(saga)) == (
        "all v1\n"
        "├─ ☾ sleep                1h\n"
        "├─ ◷ go                   signal, at most 1d\n"
        "├─ in time?\n"
        "│  ├─ signal: nothing\n"
        "│  └─ timeout: late       ↩ unfirst\n"
        "├─ choose\n"
        "│  ├─ is_large: a         ↩ unfirst\n"
        "│  ├─ a condition: nothing\n"
        "│  └─ otherwise: ☾ sleep  nap()\n"
        "└─ last                   ↩ unfirst\n"
    )


HOLD = [(0, "hold", {"compensation": True}, []), (0, "note", {"best_effort": True}, [])]
EVERY = structure(
    (1, "sequence#0", {}, [
        (6, "reserve", {}, [(1, "s", {}, HOLD)]),
        (7, "pay", {}, [(0, "pay/card", {}, []), (0, "pay/bank", {"on_unknown": "park"}, [])]),
        (8, "ship", {}, [(1, "s", {}, [(0, "ship/pack", {"compensation": True}, [])])]),
        (42, "teleport", {}, []),
        (43, "warp", {}, [(0, "inside", {}, [])]),
    ]),
)  # fmt: skip


def test_each_first_of_call_and_kinds_of_a_later_release_are_drawn():
    assert text(plan(EVERY)) == (
        "any v1\n"
        "├─ ≡ each item of reserve\n"
        "│  ├─ hold               ↩\n"
        "│  └─ note               best effort\n"
        "├─ pay\n"
        "│  ├─ first: pay/card\n"
        "│  └─ or else: pay/bank  unknown: park\n"
        "├─ ↳ call ship\n"
        "│  └─ ship/pack          ↩\n"
        "├─ · teleport            kind 42\n"
        "└─ · warp                kind 43\n"
        "   └─ inside\n"
    )


def test_marks_stand_beside_their_nodes_in_words():
    marks = {"book_hotel": Mark("!", "owed", "manual"), "book_car": Mark("✗", "rejected", "bad")}
    drawn = plan(book_trip, marks=marks, told="! requires manual  01ABC")
    assert text(drawn) == (
        "book_trip v1  ! requires manual  01ABC\n"
        "            ├─ book_flight  ↩ cancel_flight\n"
        "! owed      ├─ book_hotel   ↩ cancel_hotel\n"
        "✗ rejected  └─ book_car     ↩ cancel_car\n"
    )
    picture, chart = svg(drawn), mermaid(drawn)
    for mark in marks.values():
        assert f"{mark.icon} {mark.words}" in picture and mark.words in chart
    assert 'class="box manual"' in picture and "class n2 manual" in chart


@pytest.mark.parametrize("stored", [b"", b"{}", b'{"nodes":[[0]]}', b"[]", b"null"])
def test_a_damaged_structure_is_refused(stored):
    with pytest.raises(UsageError, match="AM2080"):
        plan(stored)


def test_a_structure_that_is_no_tree_is_refused():
    whole = msgspec.json.decode(EVERY)
    whole["nodes"][1][5] = [0]  # a child that is its own ancestor
    with pytest.raises(UsageError, match="AM2080"):
        plan(msgspec.json.encode(whole))


# --- the picture ---------------------------------------------------------------------------------


def elements(source):
    return ET.fromstring(source)


@settings(max_examples=60, deadline=None)
@given(structures)
def test_a_picture_needs_nothing_beside_it_and_holds_every_name_as_text(stored):
    root = elements(svg(plan(stored)))
    names = {child.tag.split("}")[1] for child in root.iter()}
    assert names <= {"svg", "title", "desc", "style", "rect", "path", "circle", "text", "g"}
    assert not [
        value for child in root.iter() for key, value in child.attrib.items() if key.startswith("on") or "href" in key
    ]
    style = next(child.text for child in root.iter() if child.tag.endswith("style"))
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme:dark" in style
    assert root.attrib["role"] == "img"
    assert {child.attrib["id"] for child in root if child.tag.endswith(("title", "desc"))} == set(
        root.attrib["aria-labelledby"].split()
    )


def rectangles(placed):
    yield placed
    for child in placed.children:
        yield from rectangles(child)


@settings(max_examples=80, deadline=None)
@given(structures)
def test_no_two_pieces_overlap_and_each_lies_in_its_parent(stored):
    placed = place(plan(stored).root, 10, 20, lines=2)
    for each in rectangles(placed):
        assert 0 <= each.axis <= each.height
        for child in each.children:
            assert each.x <= child.x and child.x + child.width <= each.x + each.width + 0.01
            assert each.y <= child.y + 0.01 and child.y + child.height <= each.y + each.height + 0.01
        for at, one in enumerate(each.children):
            for other in each.children[at + 1 :]:
                beside = one.x + one.width <= other.x + 0.01 or other.x + other.width <= one.x + 0.01
                stacked = one.y + one.height <= other.y + 0.01 or other.y + other.height <= one.y + 0.01
                assert beside or stacked
    if placed.piece.form is Form.SERIES:
        assert len({round(child.y + child.axis, 3) for child in placed.children}) <= 1


@settings(max_examples=60, deadline=None)
@given(structures)
def test_nothing_is_drawn_outside_the_picture(stored):
    root = elements(svg(plan(stored)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for child in root.iter():
        if "width" in child.attrib and child.attrib.get("x"):
            x, y = float(child.attrib["x"]), float(child.attrib["y"])
            assert x >= 0 and y >= 0
            assert x + float(child.attrib["width"]) <= width and y + float(child.attrib["height"]) <= height
        elif child.tag.endswith("circle"):
            assert 0 < float(child.attrib["cx"]) < width and 0 < float(child.attrib["cy"]) < height


def test_thirty_branches_share_two_upright_lines():
    wide = Saga("wide", first, parallel(*(first.named(f"b{number}") for number in range(30))), input=dict)
    placed = place(plan(wide).root, 0, 0, lines=0)
    fork = placed.children[1]
    assert len({child.x for child in fork.children}) == 1
    assert fork.axis == pytest.approx(fork.height / 2, abs=15)


# --- the chart -----------------------------------------------------------------------------------

LABEL = r"(?:[a-zA-Z0-9 _.,:\-/+?=!']|#\d+;|<br>|[^\x00-\xa0])+"
ID = r"[a-z]+\d*"
LINES = (
    rf'{ID}(?:\["{LABEL}"\]|\(\["{LABEL}"\]\)|\{{\{{"{LABEL}"\}}\}}|\{{"{LABEL}"\}}|\(\("{LABEL}"\)\))',
    rf'{ID} -->(?:\|"{LABEL}"\|)? {ID}',
    rf'{ID} -\.- u\d+\["{LABEL}"\]',
    rf'subgraph {ID}\["{LABEL}"\]',
    "end",
    r"classDef [a-z]+ [a-z0-9#:,\- ]+",
    r"class [a-z0-9,]+ [a-z]+",
)
MARKS = st.builds(Mark, st.just("✓"), st.text(max_size=9), st.sampled_from(TONES))
GRAMMAR = re.compile("|".join(f"(?:{line})" for line in LINES))


@settings(max_examples=150, deadline=None)
@given(
    structures,
    st.dictionaries(st.text(max_size=5), st.builds(Mark, st.just("✓"), st.text(max_size=9), st.sampled_from(TONES))),
)
def test_a_chart_keeps_to_the_grammar_whatever_the_names_are(stored, marks):
    first_line, *lines = mermaid(plan(stored, marks=marks)).splitlines()
    assert first_line == "flowchart TD"
    made, used, depth = set(), set(), 0
    for line in lines:
        assert GRAMMAR.fullmatch(line.strip()), line
        depth += line.strip().startswith("subgraph") - (line.strip() == "end")
        assert depth >= 0
        if edge := re.match(rf"\s*({ID}) (?:-->(?:\|[^|]*\|)? |-\.- )({ID})", line):
            used |= {edge[1], edge[2]}
            if "-.-" in line:
                made.add(edge[2])
        elif node := re.match(rf"\s*({ID})[\[({{]", line):
            assert node[1] not in made
            made.add(node[1])
    assert depth == 0 and used <= made


@settings(max_examples=100, deadline=None)
@given(structures)
def test_a_tree_is_lines_that_cannot_steer_a_terminal(stored):
    drawn = text(plan(stored))
    assert all(char.isprintable() or char == "\n" for char in drawn)
    assert drawn.endswith("\n") and "\n\n" not in drawn


def test_drawing_a_graph_of_ten_thousand_nodes_takes_no_recursion_for_its_length():
    async def one(order: dict) -> None: ...

    long = Saga("long", *(step(one, name=f"s{number}") for number in range(3_000)), input=dict)
    assert text(plan(long)).count("\n") == 3_001
    assert svg(plan(long)).count("<rect") == 3_001
    assert mermaid(plan(long)).count("-->") == 3_000
