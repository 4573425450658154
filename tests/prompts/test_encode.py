"""The token rule and the limit, on tokenizers trained here: with and without a beginning token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tss_lab.errors import ConfigError, DataError
from tss_lab.prompts import TEMPLATES, PromptEncoder, get_template, pair_id

TEXT = [
    "Below is an instruction that describes a task. ### Response:\n",
    "the cat sat on the mat and looked at the dog",
]
CHAT = (
    "{{ bos_token }}{% for m in messages %}<u>{{ m['content'] }}</u>{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


def byte_tokenizer(bos: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>" if bos else None,
        eos_token="</s>",
        chat_template=CHAT if bos else None,
    )


WITH_BOS, WITHOUT = byte_tokenizer(True), byte_tokenizer(False)


def encoder(tokenizer=WITH_BOS, template="alpaca", max_length=None):
    return PromptEncoder(tokenizer, get_template(template), max_length)


def test_alpaca_template_word_for_word():
    """docs/method.md, Prompts: one blank line between blocks, exactly one newline at the end."""
    assert encoder().render("Count.", "a b") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nCount.\n\n### Input:\na b\n\n### Response:\n"
    )
    assert encoder().render("Count.", "") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nCount.\n\n### Response:\n"
    )


def test_bos_once_or_never():
    for template in TEMPLATES:
        ids = encoder(template=template).prompt_ids("Count {x}.", "a b")
        assert ids[0] == WITH_BOS.bos_token_id
        assert ids.count(WITH_BOS.bos_token_id) == 1
        assert encoder(template=template).prompt_ids("a <s> b", "<s>").count(WITH_BOS.bos_token_id) == 1
    assert 0 not in encoder(WITHOUT).prompt_ids("Count.", "a b")


def test_braces_in_data_are_text():
    assert "{input} {0}" in encoder().render("{input} {0}", "{instruction}")


def test_unconditional_context():
    """BOS, or the end-of-text token of a model without one."""
    assert encoder().unconditional_ids() == [WITH_BOS.bos_token_id]
    assert encoder(WITHOUT).unconditional_ids() == [WITHOUT.eos_token_id]


def test_target_is_tokenised_apart_and_the_merge_is_noticed():
    """' on' begins with a space that a joint tokenisation would merge with what stands before."""
    assert encoder(WITHOUT, "plain").merges_across_boundary("x", "", "\n\ny") is False
    joint = PromptEncoder(WITHOUT, get_template("plain"), None)
    object.__setattr__(joint, "template", type(joint.template)("t", "{instruction}{input}", "{instruction}", ""))
    assert joint.merges_across_boundary("the c", "", "at sat") is True


def test_chat_needs_a_chat_template():
    with pytest.raises(ConfigError, match="no chat template"):
        encoder(WITHOUT, "chat")


def test_no_input_form_has_no_input_block():
    assert "Input" not in encoder().render("Do.", "")


def test_cut_takes_the_left_of_the_input_first():
    """Over by a few tokens: the input loses its beginning, the instruction and the output stay whole."""
    whole = encoder().encode_example(["Copy."], "first middle last", "dog")
    limit = len(whole.prompt_ids[0]) + len(whole.target_ids) - 3
    cut = encoder(max_length=limit).encode_example(["Copy."], "first middle last", "dog")
    text = WITH_BOS.decode(cut.prompt_ids[0])
    assert cut.truncated == [True]
    assert cut.target_ids == whole.target_ids
    assert "first middle" not in text
    assert text.endswith("last\n\n### Response:\n")
    assert "Copy." in text


def test_every_prompt_sees_the_same_shortened_target():
    """Without an input to cut, the longest instruction decides how much of Y all prompts see."""
    instructions = ["Go.", "Go on and on and on and on and on."]
    whole = encoder().encode_example(instructions, "", "the cat sat on the mat")
    limit = len(whole.prompt_ids[1]) + 2
    cut = encoder(max_length=limit).encode_example(instructions, "", "the cat sat on the mat")
    assert cut.target_ids == whole.target_ids[:2]
    assert cut.truncated == [True, True]


def test_a_target_that_would_vanish_is_refused():
    with pytest.raises(DataError, match=r"scoring\.max_length"):
        encoder(max_length=5).encode_example(["A long instruction indeed."], "x", "y")


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.text(min_size=1, max_size=40), st.integers(60, 260))
def test_limit_holds_for_any_text(input_text, output, limit):
    """No pair is longer than the limit, and targets are never longer than asked, whatever the text."""
    try:
        coded = encoder(max_length=limit).encode_example(["Do it.", "Do that, please."], input_text, output)
    except DataError:
        return
    assert all(len(ids) + len(coded.target_ids) <= limit for ids in coded.prompt_ids)
    assert coded.target_ids == encoder().encode(output)[: len(coded.target_ids)]


def test_pair_ids_tell_prompt_from_target():
    assert pair_id([1, 2], [3]) != pair_id([1], [2, 3])
    assert pair_id([1, 2], [3]) == pair_id((1, 2), (3,))


def test_a_chat_templates_date_never_moves():
    """A prompt that stated today's date would have other ids tomorrow."""
    tokenizer = byte_tokenizer(True)
    tokenizer.chat_template = "{{ bos_token }}Today: {{ strftime_now('%d %b %Y') }}\n" + CHAT.removeprefix(
        "{{ bos_token }}"
    )
    assert encoder(tokenizer, "chat").render("Sit.", "") == "Today: 26 Jul 2024\n<u>Sit.</u><a>"
