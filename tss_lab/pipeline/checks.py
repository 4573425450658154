"""What a later step would refuse after hours, refused at the start."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from tss_lab.config import RunConfig
from tss_lab.errors import ConfigError
from tss_lab.models.devices import check_devices
from tss_lab.prompts import get_template

log = logging.getLogger(__name__)


def refuse_early(config: RunConfig) -> None:
    """Raises ConfigError for settings that can't work on this machine, as far as that is known without work."""
    asked = set(config.stages)
    get_template(config.scoring.template)
    if {"likelihoods", "sft"} & asked:
        check_devices(config.trainer)
    if "sft" in asked and config.sft.lora is not None and find_spec("peft") is None:
        raise ConfigError("sft=lora needs the package peft: pip install 'tss-lab[lora]'")
    if "evaluation" not in asked:
        return
    if config.eval.name == "none":
        if not config.dataset.held_out:
            log.warning("nothing will be evaluated: set eval=paper or eval=mini, or dataset.held_out=500")
    elif config.eval.mirror is not None and not Path(config.eval.mirror).expanduser().is_dir():
        raise ConfigError(f"eval.mirror={config.eval.mirror} is not a directory; check the path")
