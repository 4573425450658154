"""Which packing a model is trained in: decided from its config, then compared with plain passes over a few rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PretrainedConfig

from tss_lab.config import SftConfig
from tss_lab.engine.self_check import SelfCheck, self_check
from tss_lab.engine.support import reason_against_tree, tree_failed
from tss_lab.errors import ConfigError
from tss_lab.prompts import pair_id
from tss_lab.sft.inputs import PackInput, TargetModel, attention_for, pack_input
from tss_lab.sft.rows import TrainingRow
from tss_lab.types import FloatArray, PromptKind, TokenPair

CHECKED_EXAMPLES = 3


def decided(sft: SftConfig, model_config: PretrainedConfig) -> SftConfig:
    """The recipe with ``auto`` replaced by ``tree`` or ``padded``, before weights are loaded.

    Raises ConfigError where ``tree`` or ``flat`` is asked for of a model that can't have it.
    """
    if sft.packing == "padded":
        return sft
    reason = reason_against_tree(model_config, training=True)
    if reason and sft.packing != "auto":
        raise ConfigError(f"sft.packing={sft.packing}: {reason}; take sft.packing=auto or padded")
    packing = "padded" if reason else "tree" if sft.packing == "auto" else sft.packing
    return sft.model_copy(update={"packing": packing})


@torch.no_grad()
def checked(
    target_model: TargetModel, rows: Sequence[TrainingRow], sft: SftConfig, dtype: str
) -> tuple[SelfCheck | None, str | None]:
    """Compares a few rows, packed as in training, with plain passes over each of them alone.

    Call it on every device alike, since the weights may be shared out, with the model's own attention.
    Returns what was found, and why the packing can't be relied on; None where it can.
    """
    device = next(target_model.parameters()).device
    nothing_B = torch.zeros(CHECKED_EXAMPLES, device=device)

    def logprobs(pack: PackInput) -> FloatArray:
        nll_R: FloatArray = target_model(pack, nothing_B)[1].double().cpu().numpy()
        return -nll_R

    def packed(pairs: Sequence[TokenPair]) -> list[FloatArray]:
        chosen = [TrainingRow(pair.example_id, list(pair.prompt_ids), list(pair.target_ids), 1.0) for pair in pairs]
        pack = pack_input(chosen, list(range(len(chosen))), sft.packing)
        with attention_for(target_model.model, sft):
            logprob_R = logprobs(pack)
        return [logprob_R[pack.row_R == row] for row in range(len(chosen))]

    def plain(pairs: Sequence[TokenPair]) -> list[FloatArray]:
        return [logprobs(PackInput.alone(pair)) for pair in pairs]

    was_training = target_model.training
    target_model.eval()
    try:
        found = self_check([_pair(row) for row in rows], CHECKED_EXAMPLES, dtype, packed, plain)
    except Exception as error:
        if not tree_failed(error):
            raise
        return None, str(error).splitlines()[0]
    finally:
        target_model.train(was_training)
    return found, None if found.passed else str(found)


def _pair(row: TrainingRow) -> TokenPair:
    return TokenPair(
        pair_id(row.prompt_ids, row.target_ids), row.example_id, PromptKind.TRUE, -1, row.prompt_ids, row.target_ids
    )
