"""Slots, and the paths that people read: where an event of an `each` belongs.

Events and state speak of *slots*. For a node outside `each` the slot is the node's index. An `each`
whose items are known appends one *block* of slots per item behind all slots there are, a copy of the
nodes of its body. So the slot of node `n` in item `i` is `first + i * size + (n - body)`, and an
`each` inside an `each` appends a block per outer item.

A step's path in an item bears the item's number behind the component that stands directly in the
`each`: `reserve[3]`, `ship[3]/label` for a `call` in an `each`, `ship/label[3]` for an `each` in a `call`.

Rules of this file: pure arithmetic over blocks; it knows neither a state nor a graph, so that a list
of sagas can be made from frames alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct

_NUMBER = re.compile(r"\[(\d+)\]")


class Block(Struct, frozen=True, array_like=True):
    """The slots of one `each` whose items are known.

    Attributes:
        first: the slot of the body's root in item 0.
        each: the slot of the `each` itself.
        body: the index of the body's root among the graph's nodes.
        size: how many nodes the body has.
        count: how many items there are.
    """

    first: int
    each: int
    body: int
    size: int
    count: int


def block_of(blocks: Sequence[Block], slot: int) -> Block:
    """The block that a slot beyond the graph's own lies in. Raises LookupError."""
    position = bisect_right(blocks, slot, key=_first) - 1
    if position < 0 or slot >= blocks[position].first + blocks[position].size * blocks[position].count:
        raise LookupError(f"slot {slot} belongs to no item")
    return blocks[position]


def _first(block: Block) -> int:
    return block.first


def path_of(paths: Sequence[str], blocks: Sequence[Block], slot: int) -> str:
    """The path of a slot, with the numbers of its items.

    Parameters:
        paths: of the graph's nodes, by index; `#index` is shown for one beyond their end.
        blocks: those of the saga so far, by `first`.
    """
    if slot < len(paths):
        return paths[slot]
    numbers: list[tuple[int, int]] = []  # how deep the `each` stands, and the item's number; innermost first
    template = -1
    while slot >= len(paths):
        try:
            block = block_of(blocks, slot)
        except LookupError:
            return f"#{slot}"
        item, offset = divmod(slot - block.first, block.size)
        slot = block.each
        if template < 0:
            template = block.body + offset
        inner = _template(blocks, slot, len(paths))
        if not 0 <= template < len(paths) or inner < 0:
            return f"#{slot}"
        numbers.append((paths[inner].count("/"), item))
    parts = paths[template].split("/")
    for depth, item in reversed(numbers):
        parts[depth] += f"[{item}]"
    return "/".join(parts)


def _template(blocks: Sequence[Block], slot: int, nodes: int) -> int:
    """The node's index that a slot is a copy of; -1 when it belongs to no item."""
    if slot < nodes:
        return slot
    try:
        block = block_of(blocks, slot)
    except LookupError:
        return -1
    return block.body + (slot - block.first) % block.size


def is_below(sizes: Sequence[int], blocks: Sequence[Block], slot: int, other: int) -> bool:
    """Whether a slot stands in the subtree of another, in items of an `each` too; False when nothing is known of them.

    Parameters:
        sizes: how many nodes the subtree of each of the graph's nodes has.
        blocks: those of the saga so far, by `first`.
    """
    template = _template(blocks, other, len(sizes))
    while 0 <= template < len(sizes):
        if other < slot < other + sizes[template]:
            return True
        if slot < len(sizes):
            return False
        try:
            slot = block_of(blocks, slot).each
        except LookupError:
            return False
        if slot == other:
            return True
    return False


def split(path: str) -> tuple[str, list[int]]:
    """A path without its items' numbers, and the numbers, outermost first: `a[1]/b[2]` is `a/b`, [1, 2]."""
    return _NUMBER.sub("", path), [int(number) for number in _NUMBER.findall(path)]
