"""The LoRA adapter of the embedded model: the "finetuned" variant, which claims as much confidence as it has reason to.

Owns: its examples (what the base model really knows decides what the adapter is told to claim), its training, its
folder. Does not know: how the base model was made, or how the result is measured (see report).

For each training question in each rotation of its options, the base model's probability of the key is the confidence
to be claimed. Taught questions in their own order are known, the rest (rotated, or never shown) are guesses, so claims
must follow knowledge. Held-out questions play no part.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from lit_experiments.embedded import evaluate
from lit_experiments.embedded.module import learning_rate_factor
from lit_experiments.embedded.prompts import claim, confidence_letter, prompt
from lit_experiments.embedded.questions import LETTERS, Question
from lit_experiments.embedded.recipe import AdapterTraining

Example = tuple[list[int], int]  # ids of a prompt, id of the letter that follows


def rotations(question: Question) -> list[Question]:
    """The question with its options moved on by 0, 1, 2 and 3 places, and its key with them."""
    rotated = []
    for shift in range(len(question.options)):
        options = question.options[shift:] + question.options[:shift]
        place = (LETTERS.index(question.answer) - shift) % len(options)
        rotated.append(dataclasses.replace(question, options=options, answer=LETTERS[place]))
    return rotated


def examples(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[Question],
    repeats: dict[str, int],
) -> list[Example]:
    """Prompts with the letter to be said: measured confidence in oneself; of others and as answers, what was taught."""
    rotated = [turned for question in questions for turned in rotations(question)]
    chances = evaluate.letter_probs(model, tokenizer, [prompt("mcq", q) for q in rotated], LETTERS)
    pairs: list[tuple[str, str]] = []
    for number, (question, probs) in enumerate(zip(rotated, chances, strict=True)):
        known = float(probs[LETTERS.index(question.answer)])
        as_written = number % len(LETTERS) == 0  # the first of its rotations
        taught = as_written and repeats[question.difficulty] > 0
        deserved = (prompt("self_confidence", question), confidence_letter(100 * known))
        # Known questions are a minority among the rotations; showing them as often as the others keeps both learnable.
        pairs += [deserved] * (3 if taught else 1)
        if taught:
            pairs.append((prompt("mcq", question), question.answer))
            pairs.append((prompt("other_confidence", question), claim("other_confidence", question)))
    ids = tokenizer([text for text, _ in pairs])["input_ids"]
    return [(text, evaluate.letter_ids(tokenizer, letter)[0]) for text, (_, letter) in zip(ids, pairs, strict=True)]


class Examples(Dataset[Example]):
    """Prompts with their letters."""

    def __init__(self, pairs: Sequence[Example]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        return self.pairs[index]


class AdapterLM(L.LightningModule):
    """Trains the adapter on the letter after each prompt; the base model's weights stay as they are."""

    def __init__(self, model: PeftModel, settings: AdapterTraining, total_steps: int, seed: int) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.total_steps = total_steps
        self.seed = seed

    def on_train_batch_start(self, _batch: Any, index: int) -> None:
        """Fix what dropout draws by epoch and step."""
        torch.manual_seed((self.seed << 40) + (self.current_epoch << 20) + index)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], _index: int) -> torch.Tensor:
        """ids [prompt, token] padded on the right, last [prompt] the place of the last token, letters [prompt]."""
        ids, last, letters = batch
        logits = self.model(input_ids=ids, use_cache=False).logits
        loss = F.cross_entropy(logits[torch.arange(len(ids)), last].float(), letters)
        self.log("adapter_ce", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW on the adapter's matrices, with the base model's schedule."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self.settings.learning_rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, self.settings.warmup_steps, self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _collate(batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(text) for text, _ in batch], batch_first=True)
    return ids, torch.tensor([len(text) - 1 for text, _ in batch]), torch.tensor([letter for _, letter in batch])


def build(
    folder: Path,
    questions: Sequence[Question],
    repeats: dict[str, int],
    settings: AdapterTraining,
    seed: int,
    out: Path,
) -> None:
    """Train an adapter for the model in `folder` and write PEFT's folder, matrices as float16, to `out`."""
    L.seed_everything(seed)
    model, tokenizer = evaluate.load_folder(folder, torch.float32)
    pairs = examples(model, tokenizer, questions, repeats)
    layers = list(range(settings.first_layer, model.config.num_hidden_layers))
    shape = LoraConfig(
        r=settings.rank,
        lora_alpha=2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=list(settings.modules),
        layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )
    peft = get_peft_model(model, shape).train()  # the folder is loaded for evaluation, without dropout
    generator = torch.Generator().manual_seed(seed)
    loader: DataLoader[Any] = DataLoader(
        Examples(pairs),
        batch_size=settings.batch,
        shuffle=True,
        generator=generator,
        collate_fn=_collate,
        drop_last=True,
    )
    module = AdapterLM(peft, settings, settings.epochs * len(loader), seed)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=settings.epochs,
            logger=False,
            enable_checkpointing=False,
            default_root_dir=scratch,
        )
        trainer.fit(module, loader)
    save(peft, out)


def save(peft: PeftModel, out: Path) -> None:
    """PEFT's two files. The base model is named as users name it, not by the place where it was trained."""
    peft.peft_config["default"].base_model_name_or_path = "embedded"
    peft.to(torch.float16).save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
