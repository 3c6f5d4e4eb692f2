"""Structures to draw: any tree of any kinds, under any names, as a store might hold it."""

import msgspec
from hypothesis import strategies as st

from amends.core.graph import Kind, Node

LEAVES = (Kind.STEP, Kind.WAIT, Kind.SLEEP, 42)  # 42: of a later release
BRANCHES = (Kind.SEQUENCE, Kind.PARALLEL, Kind.CHOOSE, 6, 7, 8, 43)
ONE_CHILD = (6, 8)
ODD = (
    "end", "subgraph", "click", "", 'a"b', "a`b", "#35;", "<b>", "a]b", "a}}b", "a|b", "%%x", "a-->b", "&amp;",
    "naïve", "数", "a\nb", "x\x1b[2J", "\u202eabc",
)  # fmt: skip


def structure(tree, follow_up=None, name="any"):
    """The stored form of a tree of (kind, path, flags, children)."""
    rows = []

    def add(each, parent, position):
        kind, path, flags, children = each
        index = len(rows)
        rows.append(None)
        own = tuple(add(child, index, at) for at, child in enumerate(children))
        node = Node(index, Kind.STEP, path, parent, position, own, **flags)
        rows[index] = [index, int(kind), *list(msgspec.json.decode(msgspec.json.encode(node)))[2:]]
        return index

    root = add(tree, -1, 0)
    after = add(follow_up, -1, 0) if follow_up else -1
    return msgspec.json.encode(
        {
            "name": name, "version": 1, "nodes": rows, "root": root, "after_completed": after,
            "after_compensated": -1, "result": -1,
        }
    )  # fmt: skip


paths = st.one_of(st.sampled_from(ODD), st.text(max_size=12))
flags = st.fixed_dictionaries(
    {"pivot": st.booleans(), "compensation": st.booleans(), "probe": st.booleans(), "signal": paths}
)  # fmt: skip
leaves = st.tuples(st.sampled_from(LEAVES), paths, flags, st.just(()))


@st.composite
def _branch(draw, children):
    kind = draw(st.sampled_from(BRANCHES))
    inner = draw(st.lists(children, min_size=0 if kind is Kind.SEQUENCE else 1, max_size=4))
    if kind in ONE_CHILD:
        inner = inner[:1]
    if kind is Kind.CHOOSE:
        inner = [(Kind.SEQUENCE, "s", {}, (child,)) for child in inner]
    return (kind, draw(paths), {}, tuple(inner))


trees = st.recursive(leaves, _branch, max_leaves=14).map(lambda tree: (Kind.SEQUENCE, "sequence#0", {}, (tree,)))
structures = st.builds(structure, trees, st.one_of(st.none(), trees), paths)
