"""The embedded model as a LightningModule, and its rows of token ids as a LightningDataModule.

Owns: loss, dropout, optimiser, learning-rate schedule, and which rows belong to which epoch.
Does not know: where texts come from (see mixture), files and folders (see train).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.func import functional_call
from torch.nn import Parameter
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lit_experiments.embedded.mixture import Mixture, pack
from lit_experiments.embedded.recipe import Recipe, Training
from lit_experiments.embedded.tokenizer import encode_documents

FLOOR = 0.1  # the cosine ends at this share of the peak learning rate


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama with random weights, tied embeddings, and the tokenizer's special ids in its configuration."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=recipe.window,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
        **recipe.architecture,
    )
    return LlamaForCausalLM(config)


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear warm-up to 1, then half a cosine down to FLOOR at `total` steps, constant afterwards."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def next_token_loss(model: LlamaForCausalLM, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Mean cross-entropy in nats of each token given those before it; ids [row, token], activations in `dtype`.

    The weights stay float32 and are cast once per pass; autocast's cast per operation costs more on a processor.
    """
    cast = {name: weight.to(dtype) for name, weight in model.named_parameters()}
    logits = functional_call(model, cast, kwargs={"input_ids": ids[:, :-1], "use_cache": False}).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


def parameter_groups(model: LlamaForCausalLM) -> tuple[list[Parameter], list[Parameter], list[Parameter]]:
    """The matrices of the blocks, the (tied) embedding matrix, and the norms' vectors."""
    table = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not table]
    return matrices, [table], [p for p in model.parameters() if p.ndim == 1]


class EmbeddedLM(L.LightningModule):
    """Next-token training of a small Llama."""

    def __init__(self, model: LlamaForCausalLM, settings: Training, total_steps: int, seed: int) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.total_steps = total_steps
        self.seed = seed
        self.dtype_of_pass = getattr(torch, settings.compute_dtype)
        self.automatic_optimization = False  # two optimisers
        for block in model.model.layers:
            for branch in (block.self_attn.o_proj, block.mlp.down_proj):
                branch.register_forward_hook(self._drop)

    def _drop(self, _module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return F.dropout(output, self.settings.residual_dropout, self.training)

    def on_train_batch_start(self, _batch: torch.Tensor, index: int) -> None:
        """Fix what dropout draws by epoch and step, so that a resumed run is the run that was never interrupted."""
        torch.manual_seed((self.seed << 40) + (self.current_epoch << 20) + index)

    def training_step(self, ids: torch.Tensor, _index: int) -> None:
        """One step of both optimisers on rows of ids [row, token]."""
        loss = next_token_loss(self.model, ids, self.dtype_of_pass)
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        optimizers, schedules = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimizers, list) and isinstance(schedules, list)  # noqa: PT018
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        self.log("train_ce", loss, on_step=True, on_epoch=True, prog_bar=True)

    def validation_step(self, ids: torch.Tensor, _index: int) -> None:
        """Cross-entropy on packed held-out documentation."""
        loss = next_token_loss(self.model, ids, self.dtype_of_pass)
        self.log("held_out_ce", loss, prog_bar=True, batch_size=len(ids))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Muon for the blocks' matrices, AdamW for embeddings and norms; one warm-up and cosine for both.

        On this mixture Muon brought the held-out cross-entropy to 4.8 in 150 steps, AdamW alone in over 400.
        """
        matrices, embeddings, vectors = parameter_groups(self.model)
        decay = self.settings.weight_decay
        muon = torch.optim.Muon(
            matrices, lr=self.settings.muon_learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        )
        groups = [{"params": embeddings, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        adam = torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.95), fused=True)
        return [muon, adam], [LambdaLR(optimizer, self._factor) for optimizer in (muon, adam)]

    def _factor(self, step: int) -> float:
        return learning_rate_factor(step, self.settings.warmup_steps, self.total_steps)


class Rows(Dataset[torch.Tensor]):
    """Packed rows, int64 [row, token]."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.rows[index]


class MixtureData(L.LightningDataModule):
    """Rows made anew for each epoch: what epoch n reads depends on seed and n alone, so resuming changes nothing.

    The trainer must reload the training loader every epoch.
    """

    def __init__(
        self,
        mixture: Mixture,
        held_out: Sequence[str],
        tokenizer: PreTrainedTokenizerFast,
        window: int,
        rows_per_step: int,
    ) -> None:
        super().__init__()
        self.mixture = mixture
        self.held_out = list(held_out)
        self.tokenizer = tokenizer
        self.window = window
        self.rows_per_step = rows_per_step

    def _loader(self, texts: list[str], *, drop_last: bool) -> DataLoader:
        rows = pack(encode_documents(self.tokenizer, texts), self.window + 1)
        return DataLoader(Rows(rows), batch_size=self.rows_per_step, drop_last=drop_last)

    def total_steps(self, epochs: int) -> int:
        """Steps of a whole run, taking the first epoch's for all (they differ by a step or so)."""
        return epochs * len(self._loader(self.mixture.texts(0), drop_last=True))

    def train_dataloader(self) -> DataLoader:
        """The rows of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return self._loader(self.mixture.texts(epoch), drop_last=True)

    def val_dataloader(self) -> DataLoader:
        """Held-out documentation, packed like the training rows."""
        return self._loader(self.held_out, drop_last=False)
