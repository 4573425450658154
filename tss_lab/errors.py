"""The failures a user can cause and mend. Each message names the culprit and the remedy.

The command line turns a ``TssError`` into one sentence and its exit code; anything else is a fault of
ours and keeps its traceback.
"""


class TssError(Exception):
    """Base of all failures that the user can mend."""

    exit_code = 2


class ConfigError(TssError):
    """A setting is unknown, out of range, or doesn't go with another."""


class DataError(TssError):
    """A data set can't be read, or a row of it can't be used."""


class ModelError(TssError):
    """A model or tokenizer can't be had, or can't do what is asked of it."""


class GeneratorError(TssError):
    """A generator of alternative instructions failed for good."""


class ArtifactError(TssError):
    """Something in the store or in a run folder is missing, altered or of another format."""


class TrainingError(TssError):
    """Fine-tuning can't go on: a loss that is not a number, unusable weights, a foreign checkpoint."""


class EvaluationError(TssError):
    """A benchmark can't be run as asked."""


class UnsoundError(TssError):
    """The doctor found a failure, and doctor.strict=true asks to stop at one."""

    exit_code = 1
