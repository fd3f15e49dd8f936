"""What the Hub's client raises, as one message that says what to do next. Knows no repository's content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import StoreError

_LOG_IN = "hf auth login (or set HF_TOKEN)"


class HubError(StoreError):
    """The Hub has no such repository or revision, does not let this account in, or can't be reached."""


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Makes what the client raises in the block a HubError that names `place` and says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except StoreError:
        raise
    except errors.HFValidationError as error:
        raise HubError(f"{place} names no repository: {error}\nNext: look at the name") from error
    except RuntimeError as error:  # of a transfer in a thread, or by Xet
        raise HubError(_reason(place, error.__cause__ or error)) from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise HubError(_reason(place, error)) from error


def _reason(place: str, error: BaseException) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{place} is restricted, and this account was not let in.\nNext: ask for access on its page, then {_LOG_IN}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{place}: there is no such repository that {_account()} may see.\nNext: look at the name, or {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{place}: the repository has no such revision.\nNext: name a branch, tag or commit of it"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"{place}: the Hub refuses this to {_account()} ({_cause(error)}).\n"
            f"Next: a token that may do it, from {constants.ENDPOINT}/settings/tokens, then {_LOG_IN}"
        )
    if status is not None:
        return (
            f"{place}: the Hub answered {status} ({_cause(error)}).\nNext: the same command again; it goes on from here"
        )
    if constants.HF_HUB_OFFLINE:
        return f"{place}: HF_HUB_OFFLINE is set.\nNext: unset HF_HUB_OFFLINE"
    return (
        f"{place}: {constants.ENDPOINT} can't be reached ({_cause(error)}).\n"
        "Next: look at the connection (or at HF_ENDPOINT), then the same command again"
    )


def _account() -> str:
    from huggingface_hub import get_token

    return "this account" if get_token() else "anybody without a token"


def _cause(error: BaseException) -> str:
    """The server's own words, or the kind of the failure."""
    return (
        getattr(error, "server_message", None) or f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    )
