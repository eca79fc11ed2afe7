"""The speaker's guide: every number of the exam is computed here, every wrong answer is checked."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import quantlab as ql
from quantlab import course
from quantlab.formats import BF16, FP4_E2M1, FP8_E4M3, FP16, MiniFloat

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

QUESTION = re.compile(
    r"^\*\*(\d+\.[a-z])\*\* (.*?)\n\n<details><summary>Answer</summary>\n\n(.*?)\n</details>",
    re.DOTALL | re.MULTILINE,
)
EXAM = {id: (question, answer) for id, question, answer in QUESTION.findall(GUIDE)}
# A number as it is written: not part of a name (FP16, 0x7F), a minus sign if it has one.
NUMBER = re.compile(r"(?<![\w.])(?:−)?\d[\d,]*(?:\.\d+)?(?![\w])")


def numbers(text):
    """The numbers of a text, as they are written, without commas."""
    text = re.sub(r"0x\w+", " ", text)
    return {found.rstrip(",").replace(",", "") for found in NUMBER.findall(text)}


def written(*values):
    """Numbers as the guide writes them: −56, 0.4, 131072. Text stays as it is."""
    return {v if isinstance(v, str) else f"{v:.10g}".replace("-", "−") for v in values}


def rounded(value, digits):
    return f"{value:.{digits}f}".replace("-", "−")


def _memory():
    nf4, small = (ql.memory.bits_per_weight("nf4", 64, double_quant=d) for d in (False, True))
    usable = 24e9 * 0.9
    pair = 2 * 32 * 128 * 2  # key and value, layers, numbers, bytes
    return {
        "0.a": written(
            13e9 * 2 / 1e9,
            rounded(ql.memory.weight_bytes(13e9, "bf16") / 2**30, 1),
            nf4,
            rounded(13e9 * nf4 / 8 / 1e9, 2),
        ),
        "0.b": written(
            usable / 1e9,
            usable * 8 / 16 / 1e9,
            rounded(usable * 8 / small / 1e9, 1),
            rounded(small, 3),
        ),
        "0.c": written(
            8 * pair, rounded(8 * pair * 1e4 / 1e9, 2), rounded(32 * pair * 1e4 / 1e9, 2)
        ),
        "10.a": written(*_whole_model(small)),
    }


def _whole_model(bits):
    linear, others, before = 6.5e9 * bits / 8 / 1e9, 0.5e9 * 2 / 1e9, 7e9 * 2 / 1e9
    total = linear + others
    assert total < 15.8 and before < 15.8
    left = rounded(15.8 - before, 1)
    sizes = (rounded(value, 2) for value in (linear, total, before / total))
    return (*sizes, others, before, left)


def _whole_numbers():
    full = np.array([100], dtype=np.int8)
    byte = ql.binary.to_bits(167, 8, signed=False)
    assert byte == "10100111"
    return {
        "1.a": written(ql.binary.to_bits(-100, 8), ql.binary.to_bits(-7, 4)),
        "1.b": written(int((full + full)[0]), 100 + 100, 2**8, (2**31 - 1) // 127**2),
        "1.c": written(*(ql.binary.from_bits(half) for half in (byte[:4], byte[4:]))),
    }


def _fractions():
    ends = [ql.binary.fixed_point(*each).bits for each in ((0.375, 1, 3), (0.8125, 1, 4))]
    bits, fields = FP16.bits(6.5), FP16.fields(6.5)
    lead = 1 + int(fields.mantissa) / 1024
    exponent = int(fields.exponent) - FP16.bias
    assert lead * 2**exponent == 6.5 and exponent == 2
    return {
        "2.a": written(*ends, 3, 5),
        "2.b": written(lead, lead - 1, 1024, exponent, FP16.bias, 17, 640, *bits.split()),
        "2.c": written(FP16.spacing(1000.0), FP16.round(1000.25), FP16.round(1000.3)),
    }


def _stops(f):
    """Where a running sum of ones stops in the format `f`."""
    total = 0.0
    while f.round(total + 1) != total:
        total = float(f.round(total + 1))
    return total


def _formats():
    gaps = (f.spacing(100.7) for f in (FP16, BF16))
    kept = (f.round(100.7) for f in (FP16, BF16))
    assert FP16.round(1e5) == np.inf and len(FP4_E2M1.finite_values()) == 15
    return {
        "3.a": written(*gaps, *kept, BF16.round(1e5)),
        "3.b": written(_stops(MiniFloat("E5M6", 5, 6, 15)), 6, 1, 2, 7, _stops(BF16)),
        "3.c": written(*(ql.memory.bits_per_weight(name) for name in ("mxfp4", "nvfp4"))),
    }


def _quantizers():
    x = np.array([0.7, -1.3, 2.8, 0.1])
    a = ql.quantize_absmax(x, bits=4)
    worst, step = np.abs(a.dequantize() - x).max(), float(a.scale)
    z = ql.quantize_zero_point([-1, 0, 2, 4.1])
    half = 1000 / 127 / 2
    codes = ql.quantize_absmax([1000, 0.999 * half, 1.001 * half]).codes
    assert codes.tolist() == [127, 0, 1]
    return {
        "4.a": written(step, 2.8, 7, *a.codes.tolist(), *a.dequantize(), worst, step / 2),
        "4.b": written(-1, 4.1, 255, float(z.scale), int(z.zero_point), *z.codes.tolist()),
        "4.c": written(1000, 127, rounded(2 * half, 2), rounded(half, 2), 0),
        "4.d": set(),
    }


def _outliers():
    X, W = ql.article.X, ql.article.W
    x, w = ql.quantize_absmax(X, axis=1), ql.quantize_absmax(W, axis=0)
    products = ql.quantized_matmul(x, w), ql.llm_int8_matmul(X, W), ql.llm_int8_matmul(X, w)
    plain, half, stored = (100 * ql.errors.relative(p, X @ W) for p in products)
    divide = np.sqrt(64 / 0.25)
    assert 64 / divide == 0.25 * divide
    return {
        "5.a": written(1000, rounded(plain, 2), rounded(half, 3), rounded(stored, 2)),
        "5.b": written(6, 4096, rounded(100 * 6 / 4096, 2)),
        "5.c": written(64, 0.25, divide, 64 / divide),
    }


def _gptq():
    w = np.array([[0.3], [0.3], [7.0]])
    x = np.array([[1, 1, 0], [-1, -1, 0], [0, 0, 1], [0, 0, -1]])
    g, r = ql.quantize_gptq(w, ql.hessian(x), bits=4), ql.quantize_absmax(w, 4, axis=0)
    assert float(g.scale[0, 0]) == float(r.scale[0, 0]) == 1
    moved = next(iter(ql.gptq_steps(w, ql.hessian(x), bits=4))).after[1, 0]
    off = [abs(float((np.array([1, 1, 0]) @ (q.dequantize() - w))[0])) for q in (r, g)]
    errors = [np.abs(q.dequantize() - w)[:2].ravel() for q in (g, r)]
    long = [rounded(np.linalg.norm(e), 2) for e in errors]
    codes = [*r.codes.ravel().tolist(), *g.codes.ravel().tolist()]
    h = ql.hessian([[1, 2], [3, 4]])
    return {
        "6.a": written(*codes, *off, 0.3, rounded(moved, 1)),
        "6.b": written(*errors[0], *errors[1], *long),
        "6.c": written(2, *h.ravel()),
    }


def _comparison():
    settings = {"A": (3.1, 20), "B": (3.5, 13), "C": (4.0, 14), "D": (4.1, 8), "E": (4.5, 8)}
    best = {
        name
        for name, (bits, error) in settings.items()
        if not any(
            b <= bits and e <= error and (b, e) != (bits, error) for b, e in settings.values()
        )
    }
    assert best == {"A", "B", "D"}
    w = np.random.default_rng(7).normal(size=(128, 4))
    bits = ql.quantize_zero_point(w, bits=3, axis=0, group_size=128).bits_per_value
    return {"7.a": written(3, 16, 128, rounded(bits, 3)), "7.b": set()}


def _four_bits():
    plain, small = (ql.memory.bits_per_weight("nf4", 128, double_quant=d) for d in (False, True))
    codes = np.array([0x7F >> 4, 0x7F & 15, 0x08 >> 4, 0x08 & 15])
    weights = ql.NF4.values[codes] * 0.5
    return {
        "8.a": written(4, 8, 32, 128, 256, plain, rounded(small, 3)),
        "8.b": written(*codes.tolist(), *weights[:3].tolist(), rounded(weights[3], 4)),
        "9.a": _perplexity([1 / 2, 1 / 8, 1 / 4, 1]),
    }


def _files():
    block = np.array([*np.float16(-0.5).tobytes(), 0xA7, *[0x88] * 15], np.uint8)
    weights = ql.gguf.decode(block, "Q4_0")
    places = np.flatnonzero(weights).tolist()
    four, six = (ql.gguf.TYPES[name].bits_per_value for name in ("Q4_K", "Q6_K"))
    bits = 0.85 * four + 0.15 * six
    return {
        "11.a": written(7, 8, 10, -0.5, *places, *weights[places].tolist()),
        "11.b": written(0.85, 0.15, four, six, rounded(bits, 2), rounded(7e9 * bits / 8e9, 2)),
    }


def _fits():
    token = 2 * 40 * 8 * 128 * 2
    return {
        "14.a": written(
            token, rounded(token * 1e5 / 1e9, 1), rounded(4 * token * 1e5 / 1e9, 1), 40, 8, 128, 2
        ),
        "14.b": written(1000, 6 + 2, 1000 / (6 + 2), 60 + 2, rounded(1000 / (60 + 2), 1)),
    }


def _perplexity(chances):
    losses = np.log2(1 / np.array(chances))
    return written(*losses, losses.mean(), 2, rounded(np.exp(-np.mean(np.log(chances))), 2))


def _turns():
    spike = 12 * np.eye(16)[0]
    turned = ql.transforms.hadamard_product(spike)
    assert np.allclose(np.abs(turned), 3)
    steps = [ql.quantize_absmax(x, bits=4).scale.item() for x in (spike, turned)]
    worst = [np.hypot(*sides) / 2 for sides in ((0.6, 0.8), (0.3, 1.6))]
    return {
        "12.a": written(3, -3, 12, 16, 7, *(rounded(step, 3) for step in steps)),
        "12.b": written(0.3, 1.6, worst[0], rounded(worst[1], 3)),
    }


def _shared_scales():
    block = np.array([0.9, 0.3, -0.1] + 29 * [0.0])
    answers = []
    for rule, scale in (("floor", 0.125), ("even", 0.25)):
        q = ql.scaled.quantize(block, "MXFP4", rule=rule)
        assert q.scales.item() == scale
        stored, back = FP4_E2M1.decode(q.codes[:3]), q.dequantize()[:3]
        answers += [scale, *block[:3] / scale, *stored, *back.astype(float)]
    layer = np.array([0.672, *15 * [0.0], 0.03, *15 * [0.0]])
    q = ql.scaled.quantize(layer, "NVFP4")
    wanted, step = 0.03 / 6, 2.0**-9
    alone = FP8_E4M3.round(wanted)
    assert np.isclose(q.tensor_scale, 0.00025) and q.scales.tolist() == [448, 20]
    return {
        "13.a": written(0.5, 4, *answers),
        "13.b": written(
            *(0.672, 6, 448, 0.00025, 0.03, wanted, int(q.scales[1])),
            *(rounded(wanted / step, 2), int(alone / step)),
            *(rounded(alone, 5), rounded(100 * (alone / wanted - 1), 0)),
        ),
    }


def _trained():
    w, ways = 0.35, []
    while np.round(w) < 1:
        w -= 0.05 * 2 * (np.round(w) - 1)
        ways.append(rounded(w, 2))
    reads, at = [], 0.35
    for _ in range(4000):
        reads.append(np.round(at))
        at -= 0.01 * 2 * (reads[-1] - 0.25)
    up, down = 2 * (0 - 0.25), 2 * (1 - 0.25)
    x = np.array([0.6, -0.2, 0.1, -1.1])
    q = ql.ternary.quantize_ternary(x)
    counts = [rounded(value, 1) for value in x / q.scale]
    return {
        "15.a": written(
            *(0.35, 0.05, 0, -2, 0.1, *ways, len(ways), 0.5, up, down, -down / up),
            rounded(np.mean(reads[1000:]), 2),
        ),
        "15.b": written(
            float(q.scale), *counts, *q.codes.tolist(), *q.dequantize().tolist(), 3,
            rounded(np.log2(3), 2), q.bits,
        ),
    }  # fmt: skip


def _adapters():
    thin, whole = 16 * (4096 + 11_008), 4096 * 11_008
    frozen, in_bf16 = 7e9 * 4.127 / 8e9, 7e9 * 2 / 1e9
    numbers, means = 20e6 * 4 / 1e9, 20e6 * 8 / 1e9
    rest = numbers + means + 4.5
    return {
        "15.c": written(
            *(16, 4096, 11_008, thin, whole, rounded(100 * thin / whole, 2)),
            *(rounded(12 * each / 1e6, 1) for each in (thin, whole)),
        ),
        "15.d": written(
            *(rounded(each, 2) for each in (frozen, numbers, means, frozen + rest)),
            *(4.5, in_bf16, rounded(in_bf16 + rest, 2)),
        ),
    }


COMPUTED = {}
for part in (_memory, _whole_numbers, _fractions, _formats, _quantizers):
    COMPUTED |= part()
for part in (_outliers, _gptq, _comparison, _four_bits, _files, _turns, _shared_scales, _fits):
    COMPUTED |= part()
for part in (_trained, _adapters):
    COMPUTED |= part()


def test_the_exam_has_a_question_to_every_notebook():
    assert {id.split(".")[0] for id in EXAM} == {str(n) for n in range(16)}
    assert set(EXAM) == set(COMPUTED)
    assert GUIDE.count(f"{len(EXAM)} questions") == 1


@pytest.mark.parametrize("id", EXAM)
def test_the_numbers_of_an_exam_answer_are_those_computed(id):
    question, answer = EXAM[id]
    found = numbers(answer)
    assert COMPUTED[id] <= found | numbers(question), "a computed number is not in the answer"
    assert found <= COMPUTED[id] | numbers(question), "a number in the answer is not computed"


_ROW = re.compile(r"^\| (\d+\.\d) \| `(.+)` \| (.+) \|$", re.MULTILINE)
WRONG = _ROW.findall(GUIDE)


def test_wrong_answers_come_from_all_over_the_course():
    assert len({id.split(".")[0] for id, _, _ in WRONG}) >= 10


@pytest.mark.parametrize("id, answer, reply", WRONG, ids=[f"{id} {a}" for id, a, _ in WRONG])
def test_a_wrong_answer_gets_the_reply_that_the_guide_says(id, answer, reply):
    verdict = course.verdict(id, eval(answer, {"np": np}))
    assert verdict.state == "wrong"
    assert reply in " ".join(verdict.text.split())


def _sections_with_figures(path):
    heading, found = "", []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = (re.findall(r"^## (?:\d+ · )?(.+)$", source, re.MULTILINE) or [heading])[-1]
        shown = ["".join(o.get("data", {}).get("text/plain", "")) for o in cell.get("outputs", ())]
        if any(text.startswith(("Figure:", "Explorer:", "Bit explorer:")) for text in shown):
            found.append(heading)
    return set(found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_guide_asks_before_every_figure(path):
    """Its rows name the sections of the notebook that have one, by their headings."""
    text = re.search(rf"^### {path.name[:2]} · .*?(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE)[0]
    rows = {row.split(" | ")[0][2:] for row in text.splitlines() if row.startswith("| ")}
    assert _sections_with_figures(path) - rows == set()
    source = path.read_text(encoding="utf-8")
    headings = re.findall(r"\"## (?:\d+ · )?(.+?)(?:\\n)?\"", source)
    assert rows - {"section", *headings} == set()


def test_the_plan_of_one_lecture_goes_forward_and_ends_in_time():
    plan = GUIDE.split("### 90 minutes")[1].split("###")[0]
    minutes = [int(m) for m in re.findall(r"^\| (\d+) \|", plan, re.MULTILINE)]
    assert minutes == sorted(set(minutes)) and minutes[0] == 0 and minutes[-1] < 90


def test_the_guide_keeps_the_course_s_own_rules_of_wording():
    prose = re.sub(r"`[^`]*`|<!--.*?-->", " ", GUIDE)
    banned = r"\b(simply|just|obviously|powerful|crucial|delve)\b|!"
    # "less than" a bound is meant in "just under half" and "just under 32".
    assert re.findall(banned, prose.replace("just under", "under")) == []
