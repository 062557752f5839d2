"""TRL's SFTTrainer as its documentation starts it, for comparison: `python -m tests.benchmarks.trl_defaults spec.json`.

What is not a default is what the comparison holds equal (model, rows, LoRA, 16 rows a step), and what is no training: it
neither saves nor reports. Each finished step is a line of JSON on stdout: unpadded tokens so far, and when.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTConfig, SFTTrainer


class StepLines(TrainerCallback):  # type: ignore[misc]
    """Writes a line when training begins and after each step."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.on_step_end(args, state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        print(json.dumps({"tokens": state.num_input_tokens_seen, "at": time.monotonic()}), flush=True)


def main(spec: dict[str, Any]) -> None:
    """spec: base (folder), messages (a conversation a row), rank, alpha, batch_rows, dtype (what our side trains in), out."""
    lora = LoraConfig(r=spec["rank"], lora_alpha=spec["alpha"], target_modules="all-linear", task_type="CAUSAL_LM")
    usual = SFTConfig(output_dir=spec["out"], report_to="none")
    arguments = SFTConfig(
        output_dir=spec["out"], report_to="none", save_strategy="no", num_train_epochs=1, disable_tqdm=True,
        gradient_accumulation_steps=spec["batch_rows"] // usual.per_device_train_batch_size,
        # Its default everywhere; on a processor that does not multiply bfloat16 it would be a straw man, a hundred times slower.
        bf16=None if spec["dtype"] == "bfloat16" else False,
        include_num_input_tokens_seen="non_padding",
    )  # fmt: skip
    trainer = SFTTrainer(
        model=spec["base"], args=arguments, train_dataset=Dataset.from_dict({"messages": spec["messages"]}),
        peft_config=lora, callbacks=[StepLines()],
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
