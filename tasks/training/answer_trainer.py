"""TRL's trainer with the loss on answers only, for methods to use as it is or to build on.

What it saves on a processor: the output layer, a fifth of a small model, which is computed only at positions that
predict an answer token in some row of a micro-batch.
"""

from __future__ import annotations

from typing import Any

from torch.nn import functional
from trl import SFTTrainer

from tasks.model.chat_template import IGNORED


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's SFTTrainer with logits computed only where an answer may be: same loss, less work.

    TRL's own loss scores every position on devices without Triton and logs entropy and accuracy at each step.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean negative log-likelihood of the answer tokens, over the whole effective batch (num_items_in_batch
        tokens).
        """
        labels = inputs.pop("labels")[:, 1:]  # position i predicts token i + 1
        # As an index, not a count from the end: a count gives a slice whose product copies the output weights for each
        # row.
        keep = (labels != IGNORED).any(dim=0).nonzero().flatten()
        outputs = model(**inputs, use_cache=False, logits_to_keep=keep)
        wanted = labels[:, keep].flatten()
        total = functional.cross_entropy(
            outputs.logits.float().flatten(0, 1), wanted, ignore_index=IGNORED, reduction="sum"
        )
        tokens = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss = total / tokens
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = (
                loss * self.accelerator.num_processes
            )  # data parallel averages gradients; the count is of all processes
        return (loss, outputs) if return_outputs else loss
