"""Pages and the Link header (source 004, "Pagination"; RFC 8288)."""

from __future__ import annotations

import pytest

from tillwire.dialects.merchantapi import paging
from tillwire.dialects.merchantapi.paging import Page
from tillwire.errors import InvalidRequest

URL = "https://host/stores"


def link(total: int, number: int = 1, size: int = 10, **others: str) -> str:
    query = [("page", str(number)), ("size", str(size)), *others.items()]
    return paging.link_header(URL, Page(number, size), total, query)


def test_the_first_page_has_ten_entries_unless_told_otherwise() -> None:
    assert paging.page_of([]) == Page(1, 10)
    assert paging.page_of([("page", "2"), ("size", "25")]).offset == 25


@pytest.mark.parametrize("name", ["page", "size"])
@pytest.mark.parametrize("text", ["0", "-1", "abc", "", "1.5", "+1", " 1", "01", "1e1", "\u0661"])
def test_what_is_not_a_positive_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        paging.page_of([(name, text)])
    assert refusal.value.field == name


def test_a_page_has_at_most_a_hundred_entries() -> None:
    assert paging.page_of([("size", "100")]).size == 100
    for text in ("101", "9" * 5000):
        with pytest.raises(InvalidRequest) as refusal:
            paging.page_of([("size", text)])
        assert refusal.value.field == "size"


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        paging.page_of([("page", "1"), ("page", "2")])
    assert refusal.value.field == "page"


@pytest.mark.parametrize("text", ["999999999", "9" * 5000])
def test_a_page_beyond_all_is_a_page(text: str) -> None:
    page = paging.page_of([("page", text)])
    assert page.of(range(100)) == range(0)
    assert page.offset + page.size < 2**63


def test_the_header_is_exactly_the_vendors() -> None:
    assert link(67, 3) == (
        '<https://host/stores?size=10&page=2>; rel="prev",'
        '<https://host/stores?size=10&page=4>; rel="next",'
        '<https://host/stores?size=10&page=1>; rel="first",'
        '<https://host/stores?size=10&page=7>; rel="last"'
    )


@pytest.mark.parametrize(
    ("total", "number", "size", "relations"),
    [
        (67, 1, 10, {"next": 2, "first": 1, "last": 7}),
        (67, 7, 10, {"prev": 6, "first": 1, "last": 7}),
        (67, 9, 10, {"prev": 7, "first": 1, "last": 7}),
        (10, 1, 10, {"first": 1, "last": 1}),
        (11, 1, 10, {"next": 2, "first": 1, "last": 2}),
        (3, 2, 1, {"prev": 1, "next": 3, "first": 1, "last": 3}),
        (9, 1, 10, {}),
        (0, 1, 1, {}),
        (9, 5, 10, {}),
    ],
)
def test_relations(total: int, number: int, size: int, relations: dict[str, int]) -> None:
    expected = {name: f"{URL}?size={size}&page={page}" for name, page in relations.items()}
    assert paging.links(link(total, number, size)) == expected


def test_other_parameters_are_kept_and_cannot_break_out() -> None:
    found = paging.links(link(20, q='a>b"\r\nX: y'))
    assert found["next"] == f"{URL}?size=10&page=2&q=a%3Eb%22%0D%0AX%3A+y"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {}),
        ("<a>; rel=next", {"next": "a"}),
        ('<a>;rel="next last" , <b> ; title="x, <y>; rel=prev"; rel="first"', {"next": "a"}),
        ('<a,b;c>; rel="next"; rel="prev"', {"next": "a,b;c"}),
        ('<a>; REL="NEXT", <b>; rel=next', {"next": "a"}),
        ("garbage", {}),
    ],
)
def test_a_client_reads_links_as_the_standard_lets_them_be_written(
    header: str, found: dict[str, str]
) -> None:
    links = paging.links(header)
    assert {name: links[name] for name in found} == found
    assert "prev" not in links
