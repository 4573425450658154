"""Ids: counts worked out by hand, and one tokenizer that puts its beginning token twice."""

from tss_lab.doctor.tokens import Tokens, beginning, merge_rate, short_outputs, special_tokens, template, truncation
from tss_lab.types import PromptKind

TRUE, WITH_UNCONDITIONAL = frozenset({PromptKind.TRUE}), frozenset({PromptKind.TRUE, PromptKind.UNCONDITIONAL})


def tokens(prompts=((2, 5, 6),), targets=((7, 8, 9),), **changed):
    count = len(prompts)
    usual = {
        "examples_N": [None] * count, "prompt_ids_N": prompts, "target_ids_N": targets, "truncated_N": [False] * count,
        "merged_N": [False] * count, "refused": [], "bos_ids": [2], "max_length": 8, "kinds": TRUE,
        "rows_by_special_token": {}, "rows_with_special_tokens": 0,
    }  # fmt: skip
    return Tokens(**{**usual, **changed})


def many(count, **changed):
    return tokens([(2, 5, 6)] * count, [(7, 8, 9)] * count, **changed)


def test_merges_are_counted_and_many_are_a_warning():
    few, often = merge_rate(many(20, merged_N=[True] + [False] * 19)), merge_rate(many(10, merged_N=[True] * 10))
    assert (few.status, few.figures["rate"]) == ("ok", 0.05)
    assert often.status == "warning"
    assert "10 of 10 examples" in often.text
    assert "scoring.template=alpaca" in often.remedy


def test_the_beginning_token_stands_once():
    assert beginning(many(3)).status == "ok"
    twice = tokens([(2, 2, 5), (2, 5), (5, 6)], [(7,)] * 3)
    found = beginning(twice)
    assert (found.status, found.figures["wrong"]) == ("failure", 2)
    assert beginning(tokens([(2, 5)], [(2,)])).status == "failure"  # and inside an output
    assert beginning(tokens([(2, 2, 5)], bos_ids=[])).status == "ok"  # no beginning token: 2 is a mark of turns


def test_what_is_cut_or_refused_is_a_share_of_all():
    assert truncation(many(100, truncated_N=[True] + [False] * 99)).status == "ok"
    some = truncation(many(18, truncated_N=[True] * 2 + [False] * 16, refused=["no room", "no room"]))
    assert (some.status, some.figures["share"]) == ("warning", 0.2)
    assert "(the first: no room)" in some.text
    assert truncation(many(10, truncated_N=[True] * 3 + [False] * 7)).status == "failure"


def test_short_outputs_matter_most_to_ifd():
    """Two of forty have at most two tokens."""
    targets = [(7,), (7, 8), *[(7, 8, 9)] * 38]
    prompts = [(2, 5)] * 40
    assert short_outputs(tokens(prompts, targets)).status == "ok"
    found = short_outputs(tokens(prompts, targets, kinds=WITH_UNCONDITIONAL))
    assert (found.status, found.figures["share"]) == ("warning", 0.05)
    assert "IFD" in found.text


def test_spelled_special_tokens_are_named():
    assert special_tokens(many(2)).status == "ok"
    found = special_tokens(many(2, rows_by_special_token={"<eos>": 2, "<bos>": 1}, rows_with_special_tokens=2))
    assert found.status == "warning"
    assert "rows that spell a special token of the model: 2 (<eos> in 2, <bos> in 1)" in found.text


def test_the_template_fits_the_model():
    assert template("alpaca", is_chat=False, model_has_chat=False).status == "ok"
    assert template("chat", is_chat=True, model_has_chat=True).status == "ok"
    assert template("alpaca", is_chat=False, model_has_chat=True).status == "warning"
    assert template("chat", is_chat=True, model_has_chat=False).status == "failure"
