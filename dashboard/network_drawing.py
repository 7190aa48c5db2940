"""A network as inline SVG, laid out here: in columns, the same for the same pairs, with every name in full sight.

What is asked for stands to the left, its partners beside it, and theirs to the right, each at the height of those that it
stands with. No two names can lie on one another, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboard.marking import inert

ROW, NODE_HEIGHT, NODE_WIDTH, GAP = 34, 26, 216, 120
NAME_LENGTH = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A drug or a condition: its concept, what it is called, and the address of its page."""

    concept: str
    kind: str
    title: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Two nodes, by their concepts, with the citations that mention both; ``above``: more often than chance explains."""

    left: str
    right: str
    citations: int
    above: bool
    label: str


def order_by_neighbours(edges: Sequence[Edge], left: Sequence[str]) -> list[str]:
    """Return what the edges lead to, each at the mean height of what it is tied to, weighed by citations; ties by name."""
    places = {concept: place for place, concept in enumerate(left)}
    weight: dict[str, int] = {}
    height: dict[str, float] = {}
    for edge in edges:
        weight[edge.right] = weight.get(edge.right, 0) + edge.citations
        height[edge.right] = height.get(edge.right, 0.0) + edge.citations * places[edge.left]
    return sorted(weight, key=lambda concept: (height[concept] / max(1, weight[concept]), concept))


def draw_network(
    centre: Node, nodes: Mapping[str, Node], inner: Sequence[Edge], outer: Sequence[Edge], label: str
) -> Markup:
    """Return the network as SVG with links; ``inner`` edges go from the centre, ``outer`` ones from their ends.

    ``nodes`` are those of the middle column, as ``m:CONCEPT``, and of the right one, as ``r:CONCEPT``.
    """
    middle = [edge.right for edge in inner]
    right = order_by_neighbours(outer, middle)
    rows = max(len(middle), len(right), 1)
    height, width = rows * ROW + 12, (3 if right else 2) * NODE_WIDTH + (2 if right else 1) * GAP + 4

    def top(place: int, number: int) -> float:
        return 6 + (rows - number) * ROW / 2 + place * ROW

    places = {("l", centre.concept): (2.0, top(0, 1))}
    places |= {("m", one): (2.0 + NODE_WIDTH + GAP, top(place, len(middle))) for place, one in enumerate(middle)}
    places |= {("r", one): (2.0 + 2 * (NODE_WIDTH + GAP), top(place, len(right))) for place, one in enumerate(right)}
    most = max((edge.citations for edge in (*inner, *outer)), default=1)
    lines = [_line(places["l", edge.left], places["m", edge.right], edge, most) for edge in inner]
    lines += [_line(places["m", edge.left], places["r", edge.right], edge, most) for edge in outer]
    boxes = [_box(centre, places["l", centre.concept], "centre")]
    boxes += [_box(nodes[f"m:{one}"], places["m", one]) for one in middle]
    boxes += [_box(nodes[f"r:{one}"], places["r", one]) for one in right]
    return Markup(
        '<svg class="network" role="group" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}{}</svg>'
    ).format(inert(label), width, height, width, height, Markup("").join(lines), Markup("").join(boxes))


def _line(start: tuple[float, float], end: tuple[float, float], edge: Edge, most: int) -> Markup:
    """Return an edge: the thicker, the more citations; dashed where chance explains it."""
    x1, y1 = start[0] + NODE_WIDTH, start[1] + NODE_HEIGHT / 2
    x2, y2 = end[0], end[1] + NODE_HEIGHT / 2
    bend = (x2 - x1) / 2
    thick = 1 + 6 * math.log1p(edge.citations) / math.log1p(max(1, most))
    return Markup(
        '<path class="edge{}" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}" stroke-width="{:.1f}">'
        "<title>{}</title></path>"
    ).format(
        "" if edge.above else " chance", x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2, thick, inert(edge.label)
    )  # fmt: skip


def _box(node: Node, place: tuple[float, float], extra: str = "") -> Markup:
    """Return a node as a link; a name that is too long is cut, and whole in its title."""
    title = inert(node.title)
    shown = title if len(title) <= NAME_LENGTH else title[: NAME_LENGTH - 1].rstrip() + "…"
    return Markup(
        '<a class="node {} {}" href="{}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{}" height="{}" rx="6"/>'
        '<text x="{:.1f}" y="{:.1f}">{}</text></a>'
    ).format(
        node.kind, extra, node.address, title, place[0], place[1], NODE_WIDTH, NODE_HEIGHT, place[0] + 10, place[1] + 18, shown
    )  # fmt: skip
