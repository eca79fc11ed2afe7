"""Bytes in hexadecimal: every byte is there once, and knows its name."""

import re

from quantlab.experiments.gguf_bytes import Field
from quantlab.show import hexes

FIELDS = (
    Field(0, b"GGUF", "magic", "the letters"),
    Field(4, bytes(range(13)), "long", "13 bytes"),
    Field(100, b"\xff\x3e", "<far>", "a value that is too long for the table of names"),
)


def shown(html):
    """The bytes of the dump, in order, and the places of its lines."""
    dump = html.split('class="ql-dump"')[1].split("<table")[0]
    digits = re.findall(r'data-f="\d+"[^>]*>([0-9a-f ]+)<', dump)
    return bytes.fromhex(" ".join(digits)), re.findall(r'ql-at"> *(\w+)<', dump)


def test_every_byte_is_shown_once_in_order_with_its_place():
    data, places = shown(hexes.view(FIELDS).data)
    assert data == b"".join(field.bytes for field in FIELDS)
    assert [int(place) for place in places] == [0, 8, 16, 100]


def test_a_field_can_have_the_focus_once_and_says_its_name():
    html = hexes.view(FIELDS).data
    assert html.count('tabindex="0"') == len(FIELDS)
    assert 'aria-label="magic: the letters"' in html and "<far>" not in html


def test_each_field_and_its_row_are_marked_together():
    html = hexes.view(FIELDS).data
    for number in range(3):
        assert f'.ql-hex:has([data-f="{number}"]:is(:hover,:focus)) [data-f="{number}"]' in html
        assert f'<tr data-f="{number}">' in html


def test_a_long_value_is_cut_in_the_table_alone():
    html = hexes.view(FIELDS).data
    assert "a value that is too lon…<" in html and "the table of names" in html


def test_equal_parts_of_several_blocks_share_a_row():
    rows = [("scales", "FP16"), ("codes", "4 bits")]
    html = hexes.render((*FIELDS[:2], *FIELDS[:2]), [0, 1, 0, 1], rows, ("bytes", "what"))
    assert html.count("<tr data-f") == 2 and html.count('data-f="0"') == 5
