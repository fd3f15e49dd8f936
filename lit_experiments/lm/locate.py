"""From a model's or adapter's name to a folder on this machine, downloading from the Hub where that is what was named.

Owns every contact with the Hub and every message about it: unreachable, gated, unknown. A folder or `embedded` never
touches the network. Knows file names, not what is inside the files.
"""

import difflib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from lit_experiments.lm.errors import ModelError, model_error

EMBEDDED = "embedded"
SMALL_FILES = ["*.json", "*.txt", "*.jinja", "*.model", "*.model.v*", "*.tiktoken"]
SAFETENSORS = ["model*.safetensors"]
BINARIES = ["pytorch_model*.bin"]
ADAPTER_FILES = ["adapter_model.*", *SMALL_FILES]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Located:
    """A folder that holds a model or an adapter. `commit` is the Hub's commit hash, None for a local folder."""

    name: str
    folder: Path
    commit: str | None


def locate_model(model: str, revision: str | None, with_weights: bool) -> Located:
    """The folder of `model`; downloads configuration and tokenizer, and weights when asked for. Raises ModelError."""
    local = _local_folder(model, "model")
    if local is not None and revision is not None:
        raise model_error(
            f"Revision {revision!r} means nothing for {model!r}: only a repository on the Hub has revisions.",
            where=str(local.folder),
            next_step="leave the revision out, or name the Hub's repository",
        )
    located = local or _download(model, revision, SMALL_FILES)
    _require_config(located)
    _require_tokenizer(located)
    if local is None and with_weights:
        located = _download(model, revision, SMALL_FILES + SAFETENSORS)
        if not weight_files(located.folder):
            located = _download(model, revision, SMALL_FILES + BINARIES)
    if (local is not None or with_weights) and not weight_files(located.folder):
        raise model_error(
            f"Model {model!r} has no weights.",
            where=str(located.folder),
            actual=_listing(located.folder),
            allowed="model*.safetensors or pytorch_model*.bin",
            next_step="copy the weight files into this folder, or name another model",
        )
    return located


def locate_adapter(adapter: str) -> Located:
    """The folder of a PEFT adapter, downloaded when it is a Hub id. Raises ModelError."""
    located = _local_folder(adapter, "adapter") or _download(adapter, None, ADAPTER_FILES)
    weights = [located.folder / f"adapter_model.{end}" for end in ("safetensors", "bin")]
    if not (located.folder / "adapter_config.json").is_file() or not any(path.is_file() for path in weights):
        raise model_error(
            f"{adapter!r} is not a PEFT adapter.",
            where=str(located.folder),
            actual=_listing(located.folder),
            allowed="adapter_config.json and adapter_model.safetensors",
            next_step="name the folder that `save_pretrained` of the adapter wrote",
        )
    return located


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a whole tokenizer, and not just settings of one."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: safetensors where there are any, otherwise PyTorch's own."""
    for patterns in (SAFETENSORS, BINARIES):
        files = sorted(path for pattern in patterns for path in folder.glob(pattern))
        if files:
            return files
    return []


def _local_folder(name: str, kind: str) -> Located | None:
    if name == EMBEDDED:
        return Located(name, _embedded_folder(kind), None)
    path = Path(name).expanduser()
    if path.is_dir():
        return Located(name, path, None)
    if path.exists():
        raise model_error(f"{name!r} is a file; a model is a folder.", next_step="name the folder that holds it")
    if HUB_ID.fullmatch(name) is None:
        raise _no_such_folder(name, path)
    return None


def _embedded_folder(kind: str) -> Path:
    folder = Path(str(resources.files("lit_experiments"))) / "embedded" / kind
    if not folder.is_dir():
        raise model_error(
            f"The embedded {kind} is missing from this installation.",
            where=str(folder),
            next_step=f"reinstall the package, or name another {kind} with --{kind}",
        )
    return folder


def _no_such_folder(name: str, path: Path) -> ModelError:
    parent = path.parent
    siblings = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    return model_error(
        f"There is no folder {name!r}.",
        where=str(path.absolute()),
        actual=f"{parent} holds {', '.join(sorted(siblings)[:8]) or 'no folders'}" if parent.is_dir() else None,
        allowed=f"an existing folder, a Hub id such as facebook/opt-125m, or {EMBEDDED!r}",
        next_step=f"did you mean {parent / close[0]}?" if close else "check the path",
    )


def _download(repo: str, revision: str | None, patterns: list[str]) -> Located:
    try:
        folder = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]
        )
    except errors.GatedRepoError as error:
        raise _gated(repo) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise _unknown_repo(repo) from error
    except errors.RevisionNotFoundError as error:
        raise model_error(
            f"Repository {repo!r} has no revision {revision!r}.",
            next_step=f"look at https://huggingface.co/{repo}/tree/main for its branches and tags",
        ) from error
    except (errors.HTTPError, OSError) as error:  # offline, not cached, refused, timed out, server errors
        raise _unreachable(repo, error) from error
    path = Path(folder)
    return Located(repo, path, path.name)


def _gated(repo: str) -> ModelError:
    return model_error(
        f"Access to {repo!r} is restricted, and this account has not been let in.",
        where=f"{constants.ENDPOINT}/{repo}",
        next_step=f"accept its licence at https://huggingface.co/{repo}, then log in with `hf auth login` "
        "(or set HF_TOKEN), or name a local folder",
    )


def _unknown_repo(repo: str) -> ModelError:
    return model_error(
        f"{repo!r} is neither a folder here nor a repository on the Hub that this account can see.",
        where=f"{Path(repo).absolute()} and {constants.ENDPOINT}/{repo}",
        allowed=f"an existing folder, a Hub id such as facebook/opt-125m, or {EMBEDDED!r}",
        next_step="check the spelling; for a private repository log in with `hf auth login`",
    )


def _unreachable(repo: str, error: Exception) -> ModelError:
    offline = constants.HF_HUB_OFFLINE
    cause = "HF_HUB_OFFLINE is set" if offline else _root_cause(error)
    return model_error(
        f"Model {repo!r} is not on this machine, and the Hub could not be reached.",
        where=f"{constants.ENDPOINT} (cache: {constants.HF_HUB_CACHE})",
        actual=cause,
        next_step="unset HF_HUB_OFFLINE" if offline else "check the connection, or name a local folder or 'embedded'",
    )


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"


def _require_config(located: Located) -> None:
    if not (located.folder / "config.json").is_file():
        raise model_error(
            f"{located.name!r} is not a model: there is no config.json.",
            where=str(located.folder),
            actual=_listing(located.folder),
            next_step="name the folder that `save_pretrained` of the model wrote",
        )


def _require_tokenizer(located: Located) -> None:
    if not has_tokenizer(located.folder):
        raise model_error(
            f"Model {located.name!r} comes without a tokenizer.",
            where=str(located.folder),
            actual=_listing(located.folder),
            allowed="one of " + ", ".join(TOKENIZER_FILES),
            next_step="save it into the same folder: AutoTokenizer.from_pretrained(...).save_pretrained(...)",
        )


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "an empty folder"
