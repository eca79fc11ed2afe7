"""Work in pieces: the order is kept, errors come out, and no result depends on the cut."""

import numpy as np
import pytest

import quantlab as ql
from quantlab._fast import pieces

cores = pytest.mark.parametrize("cores", [1, 2, 5])


@cores
def test_results_come_back_in_the_order_of_the_pieces(cores, monkeypatch):
    monkeypatch.setattr(pieces, "WORKERS", cores)
    for count in (0, 1, 2, 7, 100):
        assert pieces.each(lambda i: i * i, range(count)) == [i * i for i in range(count)]


@cores
@pytest.mark.parametrize("bad", [0, 3, 19])  # in the caller's own share, and in the last thread's
def test_an_error_in_a_piece_comes_out(cores, bad, monkeypatch):
    monkeypatch.setattr(pieces, "WORKERS", cores)
    with pytest.raises(ZeroDivisionError):
        pieces.each(lambda i: 1 / (i - bad), range(20))


def test_slices_cover_everything_once():
    for count in (0, 1, 9, 10, 11):
        parts = pieces.slices(count, 5)
        assert [i for part in parts for i in range(count)[part]] == list(range(count))


@pytest.mark.parametrize("shape", [(7,), (3, 5), (1, 9), (2, 3, 4)])
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_slabs_cut_an_array_into_pieces_whichever_way_it_lies(shape, size, monkeypatch):
    monkeypatch.setattr(pieces, "CHUNK", size)
    x = np.arange(np.prod(shape)).reshape(shape)
    for view in (x, x.T, x[::-1]):
        axis, cuts = pieces.slabs(view)
        assert np.array_equal(np.concatenate([view[cut] for cut in cuts], axis=axis), view)


QUANTIZERS = {
    "absmax rows": lambda x: ql.quantize_absmax(x, axis=1),
    "absmax columns": lambda x: ql.quantize_absmax(x, axis=0),
    "absmax of all": ql.quantize_absmax,
    "zero-point rows": lambda x: ql.quantize_zero_point(x, axis=1),
    "zero-point groups of rows": lambda x: ql.quantize_zero_point(x, 4, axis=1, group_size=32),
    "zero-point groups of columns": lambda x: ql.quantize_zero_point(x, 4, axis=0, group_size=50),
    "flat groups": lambda x: ql.quantize_absmax(x, 4, group_size=64),
}


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("size", [100, 5_000])
@pytest.mark.parametrize("turned", [False, True])
def test_codes_do_not_depend_on_how_an_array_is_cut_or_lies(name, size, turned, monkeypatch):
    x = np.random.default_rng(0).standard_normal((300, 160)).astype(np.float32)
    whole = QUANTIZERS[name](x)
    monkeypatch.setattr(pieces, "CHUNK", size)
    monkeypatch.setattr(pieces, "WORKERS", 3)
    cut = QUANTIZERS[name](np.asfortranarray(x) if turned else x)
    assert np.array_equal(cut.codes, whole.codes) and np.array_equal(cut.scale, whole.scale)
    assert np.array_equal(cut.zero_point, whole.zero_point)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("quantize", [*QUANTIZERS.values(), ql.quantize_blockwise])
def test_one_bad_value_in_a_late_piece_is_refused_with_its_place(quantize, bad, monkeypatch):
    monkeypatch.setattr(pieces, "CHUNK", 10_000)
    monkeypatch.setattr("quantlab._fast.codebooks.CHUNK", 10_000)
    x = np.ones((900, 160), np.float32)
    x[870, 3] = bad
    with pytest.raises(ValueError, match=rf"x must be finite, got {bad} at index \(870, 3\)"):
        quantize(x)


@pytest.mark.parametrize("f", ql.formats.ALL.values(), ids=lambda f: f.name)
def test_a_long_array_encodes_as_its_parts_do(f, monkeypatch):
    monkeypatch.setattr(pieces, "WORKERS", 3)
    monkeypatch.setattr("quantlab._fast.formats.CHUNK", 10_000)
    x = np.random.default_rng(1).standard_normal(200_005).astype(np.float32)
    x[::1000] = np.nan
    parts = np.concatenate([f.encode(part) for part in np.array_split(x, 50)])
    assert np.array_equal(f.encode(x), parts)
