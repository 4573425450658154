"""Which benchmarks there are, what they are called on pages, and where their items come from.

Three sources: the Hugging Face hub (``eval=paper``), a directory of JSONL files in the Hub's schemas
(``eval.mirror``), and the demonstration items that travel with the package (``eval=mini``). The last are
short items of our own in the benchmarks' form; a number on them says nothing about the benchmark, so
nothing shows them under its name alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tss_lab.config import EvalConfig
from tss_lab.errors import EvaluationError
from tss_lab.store import file_sha256

MINI_FOLDER = Path(__file__).parent / "mini"
MMLU_SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge", "college_biology",
    "college_chemistry", "college_computer_science", "college_mathematics", "college_medicine", "college_physics",
    "computer_security", "conceptual_physics", "econometrics", "electrical_engineering", "elementary_mathematics",
    "formal_logic", "global_facts", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
    "high_school_european_history", "high_school_geography", "high_school_government_and_politics",
    "high_school_macroeconomics", "high_school_mathematics", "high_school_microeconomics", "high_school_physics",
    "high_school_psychology", "high_school_statistics", "high_school_us_history", "high_school_world_history",
    "human_aging", "human_sexuality", "international_law", "jurisprudence", "logical_fallacies", "machine_learning",
    "management", "marketing", "medical_genetics", "miscellaneous", "moral_disputes", "moral_scenarios", "nutrition",
    "philosophy", "prehistory", "professional_accounting", "professional_law", "professional_medicine",
    "professional_psychology", "public_relations", "security_studies", "sociology", "us_foreign_policy", "virology",
    "world_religions",
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: its official lm-eval task, and its files in a mirror.

    ``files`` maps lm-eval's split to a file below the mirror, the first one's rows being the items; ``{subject}``
    stands for each of ``subjects``. ``required`` are the fields that every row must have. On the Hub the same
    rows are the configuration ``hub_config`` (each subject's own, where there are subjects) of ``hub_id``.
    """

    name: str
    display_name: str
    task: str
    task_folder: str
    files: dict[str, str]
    required: tuple[str, ...]
    hub_id: str
    hub_config: str = "default"
    subjects: tuple[str, ...] = ()


BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "arc_challenge", "ARC-Challenge", "arc_challenge", "arc",
            {"test": "arc_challenge/test.jsonl"}, ("question", "choices", "answerKey"),
            "allenai/ai2_arc", "ARC-Challenge",
        ),
        Benchmark(
            "mmlu", "MMLU", "mmlu", "mmlu/default",
            {"test": "mmlu/{subject}/test.jsonl", "dev": "mmlu/{subject}/dev.jsonl"},
            ("question", "choices", "answer"), "cais/mmlu", subjects=MMLU_SUBJECTS,
        ),
        Benchmark(
            "hellaswag", "HellaSwag", "hellaswag", "hellaswag",
            {"validation": "hellaswag/validation.jsonl"}, ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
            "Rowan/hellaswag",
        ),
        Benchmark(
            "truthfulqa_mc1", "TruthfulQA-MC1", "truthfulqa_mc1", "truthfulqa",
            {"validation": "truthfulqa_mc1/validation.jsonl"}, ("question", "mc1_targets"),
            "truthfulqa/truthful_qa", "multiple_choice",
        ),
    )
}  # fmt: skip


def display_name(config: EvalConfig, name: str) -> str:
    """What pages and logs call a benchmark's items; the mini ones are demonstration items."""
    official = BENCHMARKS[name].display_name
    return f"{official}-style demonstration items" if config.name == "mini" else official


def total_name(config: EvalConfig) -> str:
    """What pages and logs call the sum of the accuracies: over how many benchmarks, and when over no real one."""
    count = len(config.benchmarks)
    if config.name == "mini":
        return f"Sum over demonstration items of {count} {'kind' if count == 1 else 'kinds'}"
    return f"SUM of {count} {'benchmark' if count == 1 else 'benchmarks'}"


def result_label(config: EvalConfig) -> str:
    """One line that says what was evaluated: source and limit."""
    label = config.label or ("demonstration items" if config.name == "mini" else "the paper's benchmarks")
    if config.mirror is not None:
        label += ", items from a local mirror"
    if config.limit is not None:
        label += f", at most {config.limit} items a benchmark (a subject for MMLU)"
    return label


def local_folder(config: EvalConfig) -> Path | None:
    """The folder that holds the items, or None when they come from the Hub.

    Raises EvaluationError when ``eval.mirror`` is not a directory.
    """
    if config.name == "mini":
        return MINI_FOLDER
    if config.mirror is None:
        return None
    folder = Path(config.mirror).expanduser().resolve()
    if not folder.is_dir():
        raise EvaluationError(
            f"eval.mirror={config.mirror} is not a directory; give the folder that holds arc_challenge, mmlu, ..."
        )
    return folder


def local_files(folder: Path, name: str) -> dict[str, dict[str, Path]]:
    """Task name -> split -> file, for one benchmark below ``folder``; MMLU's subjects are those that have a folder.

    Raises EvaluationError that names the file or the folder that isn't there.
    """
    benchmark = BENCHMARKS[name]
    if benchmark.subjects:
        subjects = [subject for subject in benchmark.subjects if (folder / name / subject).is_dir()]
        if not subjects:
            raise EvaluationError(f"{folder / name} holds no folder of a subject; {without(name)}")
        tasks = {f"{benchmark.task}_{subject}": subject for subject in subjects}
    else:
        tasks = {benchmark.task: ""}
    found: dict[str, dict[str, Path]] = {}
    for task, subject in tasks.items():
        found[task] = {split: folder / path.format(subject=subject) for split, path in benchmark.files.items()}
        for path in found[task].values():
            if not path.is_file():
                raise EvaluationError(f"{path} is missing; {without(name)}")
    return found


def without(name: str) -> str:
    """The way around a benchmark that can't be had, as the second half of an error's sentence."""
    others = [other for other in BENCHMARKS if other != name]
    return f"complete it, or leave {name} out: eval.benchmarks=[{','.join(others)}]"


def source_identity(config: EvalConfig) -> dict[str, Any]:
    """What determines the items: the Hub's names, or every local file's content."""
    folder = local_folder(config)
    if folder is None:
        return {"hub": sorted(config.benchmarks)}
    return {
        f"{task}/{split}": file_sha256(path)
        for name in sorted(config.benchmarks)
        for task, files in local_files(folder, name).items()
        for split, path in files.items()
    }


def task_group(folder: Path, names: Sequence[str], group: str) -> dict[str, Any]:
    """An lm-eval group that runs the official tasks, prompts unchanged, on local files."""
    tasks: list[dict[str, Any]] = []
    for name in names:
        for task, files in local_files(folder, name).items():
            override: dict[str, Any] = {
                "task": task,
                "dataset_path": "json",
                "dataset_name": None,
                "dataset_kwargs": {"data_files": {split: str(path) for split, path in files.items()}},
            }
            for split in ("training", "validation", "test"):
                if split not in files:
                    override[f"{split}_split"] = None
            if "dev" not in files:
                override["fewshot_split"] = None
            tasks.append(override)
    return {"group": group, "task": tasks}
