"""A text as a user's turn, or a conversation, in a tokenizer's chat template: options, a system turn, a time that
stands still.

Owns what may be given to a template and how its refusals are told. A template that asks for the time gets that of the
run's first start (`Clock`), so that prompts are the same whenever they are made. Knows no ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jinja2
import jinja2.meta
from transformers.utils.chat_template_utils import _compile_jinja_template

from lit_experiments.lm.errors import ModelError, first_line, model_error, nearest

# What a template gets from us or from the tokenizer, and no option of the user's may replace.
_OURS = frozenset({"messages", "add_generation_prompt", "strftime_now", "raise_exception", "tojson", "namespace"})


@dataclass(frozen=True)
class Chat:
    """How a chat template is filled. options: what it is given besides the turns, such as enable_thinking. system: the
    text of a system turn in front; None for no such turn."""

    options: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None


def chat_settings(chat_template: bool, options: Mapping[str, Any], system: str | None) -> Chat | None:
    """The chat that a study's three options ask for; None without a template.

    Raises ModelError for options or a system turn without a template.
    """
    if chat_template:
        return Chat(dict(options), system)
    given = [name for name, value in (("--chat_options", options), ("--system_prompt", system)) if value]
    if given:
        raise model_error(
            f"{' and '.join(given)} fill the tokenizer's chat template, which is not used.",
            next_step="--chat_template true, or leave them out",
        )
    return None


class Clock:
    """The time that a run's chat templates are told: local, whole seconds, chosen once."""

    def __init__(self, moment: str | None = None) -> None:
        """moment: as `moment` gives it; None takes the time of the first look."""
        self._moment = None if moment is None else datetime.fromisoformat(moment)
        self.was_read = False  # whether a template has looked at it

    @property
    def moment(self) -> str:
        """The time in ISO format, without a zone."""
        return self._now().isoformat()

    def strftime(self, form: str) -> str:
        self.was_read = True
        return self._now().strftime(form)

    def _now(self) -> datetime:
        if self._moment is None:
            self._moment = datetime.now().replace(microsecond=0)
        return self._moment


def render(tokenizer: Any, text: str, chat: Chat, clock: Clock) -> str:
    """`text` as a user's turn, up to where the model's own turn begins. Raises ModelError as `render_turns` does."""
    return render_turns(tokenizer, [{"role": "user", "content": text}], chat, clock)


def render_turns(tokenizer: Any, turns: Sequence[Mapping[str, Any]], chat: Chat, clock: Clock) -> str:
    """A conversation (`role` and `content` of each turn), up to where the model's next turn begins; a conversation that
    ends in the assistant's own turn, up to that turn's end.

    Raises ModelError without a template, for options that the template does not read, a system turn that it refuses or
    leaves out, and whatever else it refuses.
    """
    if tokenizer.chat_template is None:
        raise model_error("This model's tokenizer has no chat template.", next_step="--chat_template false")
    _require_read(tokenizer, chat.options)
    if chat.system is None:
        return _filled(tokenizer, turns, chat, clock)
    rendered = _filled(tokenizer, [{"role": "system", "content": chat.system}, *turns], chat, clock)
    if chat.system.strip() not in rendered:
        raise _no_system("it leaves the system turn out")
    return rendered


def _filled(tokenizer: Any, turns: Sequence[Mapping[str, Any]], chat: Chat, clock: Clock) -> str:
    goes_on = turns[-1]["role"] != "assistant"
    try:
        with _telling(clock, tokenizer.get_chat_template()):
            filled = tokenizer.apply_chat_template(
                list(turns), tokenize=False, add_generation_prompt=goes_on, **chat.options
            )
            return str(filled)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
        if chat.system is not None:
            raise _no_system(first_line(error)) from error
        raise model_error(
            "The chat template refuses this prompt.",
            actual=f"{type(error).__name__}: {first_line(error)}",
            next_step="look at --chat_options, or give the model texts without its template",
        ) from error


@contextmanager
def _telling(clock: Clock, template: str) -> Iterator[None]:
    """Has a template's `strftime_now` look at `clock`. Transformers compiles a template once, and renders that."""
    compiled = _compile_jinja_template(template)
    if _compile_jinja_template(template) is not compiled:
        raise RuntimeError("This version of Transformers compiles chat templates anew, so their time cannot be fixed.")
    present = compiled.globals["strftime_now"]
    compiled.globals["strftime_now"] = clock.strftime
    try:
        yield
    finally:
        compiled.globals["strftime_now"] = present


def _no_system(reason: str) -> ModelError:
    return model_error(
        "This model's chat template takes no system turn.",
        actual=reason,
        next_step="leave --system_prompt out, and write its text into the prompt's own template",
    )


def _require_read(tokenizer: Any, options: Mapping[str, Any]) -> None:
    """Raises ModelError for an option that the template would ignore."""
    if not options:
        return
    read = _read_by(tokenizer.get_chat_template()) - _OURS - set(tokenizer.special_tokens_map)
    for name in options:
        if name not in read:
            raise model_error(
                f"The chat template of this model's tokenizer does not read {name!r}.",
                allowed=", ".join(sorted(read)) or "no options",
                next_step=f"{nearest(name, read)} in --chat_options" if read else "leave --chat_options out",
            )


def _read_by(template: str) -> set[str]:
    """The names that a template takes from outside."""
    # Transformers' own environment, because its templates may use tags that jinja does not have.
    environment = _compile_jinja_template(template).environment
    return jinja2.meta.find_undeclared_variables(environment.parse(template))
