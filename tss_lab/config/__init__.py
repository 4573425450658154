"""RunConfig: every setting of a run, typed and checked at the door. No DictConfig goes further in.

Each class mirrors the config group of the same name in ``conf/``; a setting's meaning is said once,
here, and its usual value stands in the yaml.
"""

from tss_lab.config.choice import (
    AlternativesConfig,
    AuditConfig,
    BudgetConfig,
    ChooseConfig,
    MethodConfig,
    ScoringConfig,
    WeightingConfig,
)
from tss_lab.config.data import DATA_SUFFIXES, DatasetConfig, data_name
from tss_lab.config.doctor import DoctorConfig
from tss_lab.config.models import EmbedderConfig, GeneratorConfig, ModelConfig, WheelSource
from tss_lab.config.probe import CorruptionKind, ProbeConfig
from tss_lab.config.run import STAGES, Paths, RunConfig, Stage
from tss_lab.config.section import Section
from tss_lab.config.tuning import EvalConfig, LoggerConfig, LoraConfig, SftConfig, TrainerConfig

__all__ = [
    "DATA_SUFFIXES",
    "STAGES",
    "AlternativesConfig",
    "AuditConfig",
    "BudgetConfig",
    "ChooseConfig",
    "CorruptionKind",
    "DatasetConfig",
    "DoctorConfig",
    "EmbedderConfig",
    "EvalConfig",
    "GeneratorConfig",
    "LoggerConfig",
    "LoraConfig",
    "MethodConfig",
    "ModelConfig",
    "Paths",
    "ProbeConfig",
    "RunConfig",
    "ScoringConfig",
    "Section",
    "SftConfig",
    "Stage",
    "TrainerConfig",
    "WeightingConfig",
    "WheelSource",
    "data_name",
]
