"""The options that every experiment has: which model, which devices, where to write. Studies add their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

PRECISIONS = {
    "32-true": "float32",
    "32": "float32",
    "bf16-true": "bfloat16",
    "bf16": "bfloat16",
    "16-true": "float16",
    "16": "float16",
}


@dataclass(frozen=True)
class Option:
    """One `--name`: its type as jsonargparse checks it, its help, and the section of the help it belongs to."""

    name: str
    type: Any
    help: str
    section: str

    @property
    def is_flag(self) -> bool:
        return self.type is bool


_MODEL = [
    Option(
        "model",
        str,
        'Hugging Face id, local folder, or "embedded" (the small model shipped with the package).',
        "Model",
    ),
    Option(
        "adapter",
        str | None,
        'PEFT adapter: Hub id, local folder, or "embedded" (for the embedded model). Never merged into the base.',
        "Model",
    ),
    Option("revision", str | None, "Branch, tag or commit on the Hub.", "Model"),
    Option("attn", str, 'Attention: "auto", "sdpa", "eager" or "flash_attention_2". Recorded with the data.', "Model"),
    Option(
        "device_map",
        str | None,
        'Spreads one model over several devices, host memory and disk: "auto", "balanced", or a YAML file with '
        "max_memory, offload_folder, or the device of every module. One process.",
        "Model",
    ),
    Option(
        "quantization",
        str | None,
        'Loads the weights in few bits: "4bit" (nf4) or "8bit" by bitsandbytes, or a YAML file that holds a '
        "quantization_config (torchao, ...). Recorded with the data.",
        "Model",
    ),
    Option(
        "engine",
        Literal["transformers", "vllm"],
        "What computes: Hugging Face's modules (exact), or vLLM (many texts at a time, one model over several "
        "devices). Recorded with the data; a store of one is never continued by the other.",
        "Model",
    ),
    Option("tensor_parallel", int, "--engine vllm: over how many devices each matrix is split.", "Model"),
    Option("pipeline_parallel", int, "Stages of blocks: only 1 works so far, others are refused.", "Model"),
]
_TRAINER = [
    Option("precision", str, "32-true, bf16-true or 16-true: the dtype that the model is loaded in.", "Trainer"),
    Option("devices", int | str, 'Number of devices, or "auto".', "Trainer"),
    Option("accelerator", str, '"auto", "cpu", "gpu", ...', "Trainer"),
    Option("num_nodes", int, "Number of machines (started by SLURM, torchrun or the like).", "Trainer"),
    Option("strategy", str, 'Lightning strategy; "auto" is right for nearly everyone.', "Trainer"),
    Option(
        "trainer",
        dict[str, Any],
        "Arguments of Lightning's Trainer, as a mapping or one by one: --trainer.KEY VALUE. Loggers (csv, tensorboard, "
        "wandb, mlflow), callbacks and profilers are named, or given as YAML with class_path and init_args; several as "
        "a list. What they write goes into the run's folder unless they say otherwise.",
        "Trainer",
    ),
]
_LOG_TO = Option(
    "log_to",
    str | None,
    "Also send the page's figures, tables and curves to a logger: tensorboard, wandb, mlflow, csv (curves alone), or a "
    "class of your own. To the Trainer's where --trainer.logger names the same.",
    "Run",
)
_COLLECT = [
    Option(
        "run",
        str | None,
        "Folder of this run, or its URL on object storage (s3://BUCKET/RUN). Default: runs/<exp>, or "
        "runs/<exp>-<preset>.",
        "Run",
    ),
    Option(
        "limit",
        int | None,
        "Only the first N samples (questions, with all their passes). Raising it later continues the same store.",
        "Run",
    ),
    Option(
        "shard",
        str | None,
        "3/8: only the third of eight parts, into a run of its own; `lit-experiments merge` makes one of them. All "
        "else must be equal in the commands of the parts.",
        "Run",
    ),
    Option("restart", bool, "Set the existing store aside (never delete it) and begin a new one.", "Run"),
    Option(
        "dry_run",
        bool,
        "Run a few samples into a temporary store, print sizes and times, keep nothing.",
        "Run",
    ),
    Option(
        "claims",
        str | None,
        "YAML list of claims to be judged later (audit --claims): a new store records their hash, so that an audit "
        "says whether they were written before.",
        "Run",
    ),
    Option("backend", Literal["zarr", "hdf5"], "Storage format of the arrays.", "Store"),
    Option("batch_tokens", int, "Most tokens in one batch, padding and draws counted: it sets the memory.", "Run"),
    Option("batch_size", int | None, "Most samples in one batch.", "Run"),
    Option("flush_mb", float, "Commit when this much waits in memory, in megabytes.", "Store"),
    Option("flush_seconds", float, "Commit at least this often, in seconds.", "Store"),
    Option(
        "lease_seconds",
        float,
        "On object storage: how long others are kept out after this collection's last sign of life.",
        "Store",
    ),
]
_FORECAST = Option("dry_run", bool, "Check everything, print what will be read and held, compute nothing.", "Run")
_TRAIN = [
    Option(
        "run",
        str | None,
        "Folder of the collection run to learn from. Default: the experiment's own.",
        "Run",
    ),
    Option("restart", bool, "Set existing results aside (never delete them) and train again.", "Run"),
    _FORECAST,
    Option("ckpt_path", str | None, '"last" resumes an interrupted training from its newest checkpoint.', "Run"),
    _LOG_TO,
]
_ANALYZE = [
    Option(
        "run",
        str | None,
        "Folder of the collection run to analyze. Default: the experiment's own.",
        "Run",
    ),
    Option("restart", bool, "Set existing results aside (never delete them) and analyze again.", "Run"),
    _FORECAST,
    _LOG_TO,
]
RUN_OPTIONS: dict[str, list[Option]] = {
    "collect": [*_COLLECT, *_MODEL, *_TRAINER],
    "train": [*_TRAIN, *_TRAINER],
    "analyze": _ANALYZE,
}
