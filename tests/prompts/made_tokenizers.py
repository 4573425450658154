"""Small tokenizers with the special tokens and chat templates of well-known families, written for the tests."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Below is an instruction that describes a task. ### Instruction:\n### Input:\n### Response:\n",
    "the cat sat on the mat and looked at the dog <bos> <mask> <eos> user system assistant model",
]

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
QWEN3 = (
    "{%- for m in messages %}\n    {%- set content = m.content %}\n    {%- if m.role == 'assistant' %}\n"
    "        {%- set content = content.split('</think>')[-1].lstrip('\n') %}\n"
    "        {{- '<|im_start|>assistant\n<think>\n\n</think>\n\n' + content + '<|im_end|>\n' }}\n"
    "    {%- else %}\n        {{- '<|im_start|>' + m.role + '\n' + content + '<|im_end|>\n' }}\n    {%- endif %}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\n' }}\n"
    "    {%- if enable_thinking is defined and enable_thinking is false %}\n"
    "        {{- '<think>\n\n</think>\n\n' }}\n    {%- endif %}\n{%- endif %}\n"
)
LLAMA3 = (
    "{{- bos_token }}\n{%- set today = strftime_now('%d %b %Y') %}\n"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + today + '\n\n' }}\n"
    "{%- if messages[0]['role'] == 'system' %}\n    {{- messages[0]['content'] | trim }}\n"
    "    {%- set messages = messages[1:] %}\n{%- endif %}\n{{- '<|eot_id|>' }}\n"
    "{%- for m in messages %}\n"
    "    {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}\n{%- endif %}\n"
)
SMOLLM2 = (
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_tokenizer(
    special: list[str], bos: str | None, eos: str, template: str | None, *, begins: bool, added: tuple[str, ...] = ()
) -> PreTrainedTokenizerFast:
    """Byte-level BPE; ``begins``: sequences begin with ``bos``; ``added``: tokens that aren't special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.add_tokens([AddedToken(content, special=False, normalized=False) for content in added])
    return _made(tokenizer, bos, eos, template, begins=begins)


def spaced_tokenizer(template: str | None, *, legacy: bool) -> PreTrainedTokenizerFast:
    """Llama 2's kind: a space is a letter, and the text's first piece gets one before it.

    ``legacy``: so does each piece after a special token, by the normaliser.
    """
    pieces = ["<s>", "</s>", "<unk>", "▁", "\n", *map(chr, range(33, 127))]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "B"), ("▁B", "e")]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    return _made(tokenizer, "<s>", "</s>", template, begins=True)


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """Its model of the text knows the special tokens as pieces, and so reads them in any text."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((letter, -9.0) for letter in "▁<>/abcdest .\n#:I")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return _made(tokenizer, "<s>", "</s>", None, begins=True)


def _made(
    tokenizer: Tokenizer, bos: str | None, eos: str, template: str | None, *, begins: bool
) -> PreTrainedTokenizerFast:
    if begins:
        assert bos is not None
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, chat_template=template)


def gemma() -> PreTrainedTokenizerFast:
    special = ["<pad>", "<eos>", "<bos>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    return byte_tokenizer(special, "<bos>", "<eos>", GEMMA, begins=True, added=("\n", "\n\n"))


def qwen3() -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return byte_tokenizer(special, None, "<|endoftext|>", QWEN3, begins=False, added=("<think>", "</think>"))


def llama3() -> PreTrainedTokenizerFast:
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return byte_tokenizer(special, "<|begin_of_text|>", "<|end_of_text|>", LLAMA3, begins=True)


def smollm2() -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<filename>"]
    return byte_tokenizer(special, "<|im_start|>", "<|im_end|>", SMOLLM2, begins=False)


FAMILIES = {"gemma": gemma(), "qwen3": qwen3(), "llama3": llama3(), "smollm2": smollm2()}
