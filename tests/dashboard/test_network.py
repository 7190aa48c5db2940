"""The network around a drug or a condition: the same pairs as a drawing and as a table, drawn the same every time."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from starlette.testclient import TestClient

from dashboard.network_drawing import NODE_HEIGHT, Edge, Node, draw_network, order_by_neighbours
from tests.dashboard.conftest import rows_of, text_of


def get(client: TestClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, text_of(answer.text)
    return answer.text


def pairs_of(html: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in rows_of(html)]


def edges_of(html: str) -> int:
    return len(re.findall(r'<path class="edge', html))


def test_the_drawing_and_the_table_have_the_same_pairs(filled: TestClient) -> None:
    html = get(filled, "/network?drug=Lithium")
    pairs = pairs_of(html)
    assert pairs[:3] == [("lithium", "tremor"), ("lithium", "nausea"), ("lithium", "syncope")]
    assert ("valproate", "tremor") in pairs
    assert edges_of(html) == len(pairs) == len(set(pairs))
    assert get(filled, "/network?drug=Lithium") == html


def test_more_or_fewer_are_drawn_as_the_address_says(filled: TestClient) -> None:
    assert pairs_of(get(filled, "/network?drug=lithium&partners=1&others=0")) == [("lithium", "tremor")]
    assert edges_of(get(filled, "/network?drug=lithium&others=1")) == 6
    assert pairs_of(get(filled, "/network?drug=lithium&min=3")) == [("lithium", "tremor")]
    assert ("lithium", "nausea") not in pairs_of(get(filled, "/network?drug=lithium&ic=0"))
    assert "No condition passes" in text_of(get(filled, "/network?drug=lithium&ic=15"))


def test_a_condition_has_a_network_too(filled: TestClient) -> None:
    pairs = pairs_of(get(filled, "/network?condition=hepatitis"))
    assert pairs[:2] == [("valproate", "hepatitis"), ("methotrexate", "hepatitis")]
    assert ("methotrexate", "pneumonitis") in pairs


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/network?drug=lithum", 404, "Did you mean"),
        ("/network?drug=lithium&ic=x", 400, "no number"),
        ("/network?drug=lithium&ic=nan", 400, "no number"),
        ("/network?drug=lithium&partners=31", 400, "whole number from 0 to 30"),
        ("/network", 303, ""),
    ],
)
def test_what_cannot_be_drawn_is_told(filled: TestClient, address: str, status: int, said: str) -> None:
    assert said in text_of(get(filled, address, status))


def test_no_two_names_lie_on_one_another_and_each_node_is_a_link() -> None:
    partners = [f"c{number}" for number in range(30)]
    inner = [Edge(left="d", right=one, citations=5, above=True, label="x") for one in partners]
    outer = [
        Edge(left=one, right=f"d{number}", citations=number + 1, above=False, label="y")
        for place, one in enumerate(partners)
        for number in range(place, place + 10)
    ]
    nodes = {
        f"{column}:{one}": Node(concept=one, kind="drug", title=one, address="/x")
        for column, ends in (("m", partners), ("r", [edge.right for edge in outer]))
        for one in ends
    }
    drawing = draw_network(Node(concept="d", kind="drug", title="<d>", address="/x"), nodes, inner, outer, "all")
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', drawing)
    assert len(boxes) == len(re.findall("<a ", drawing)) == 1 + 30 + 39
    columns: dict[str, list[float]] = {}
    for x, y in boxes:
        columns.setdefault(x, []).append(float(y))
    assert len(columns) == 3
    for heights in columns.values():
        assert all(lower - upper >= NODE_HEIGHT for upper, lower in pairwise(sorted(heights)))
    assert "<d>" not in drawing


def test_the_right_column_lies_where_its_ties_are() -> None:
    edges = [
        Edge(left=left, right=right, citations=citations, above=True, label="")
        for left, right, citations in (("a", "x", 1), ("c", "x", 9), ("a", "y", 1), ("b", "z", 4), ("b", "w", 4))
    ]
    assert order_by_neighbours(edges, ["a", "b", "c"]) == ["y", "w", "z", "x"]
