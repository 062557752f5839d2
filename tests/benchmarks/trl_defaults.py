"""TRL's SFTTrainer as its documentation starts it, for comparison: `python -m tests.benchmarks.trl_defaults spec.json`.

What is not a default is what the comparison holds equal (model, rows, LoRA, 16 rows a step), and what is no training:
it neither saves nor reports. Each finished step is a line of JSON on stdout: unpadded tokens so far, and when.
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
    """Writes a line after each step."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        print(json.dumps({"tokens": state.num_input_tokens_seen, "at": time.monotonic()}), flush=True)


def main(spec: dict[str, Any]) -> None:
    """spec: base (folder), messages (a conversation a row), rank, alpha, batch_rows, dtype and device (our side's),
    out.
    """
    lora = LoraConfig(r=spec["rank"], lora_alpha=spec["alpha"], target_modules="all-linear", task_type="CAUSAL_LM")
    arguments = SFTConfig(
        output_dir=spec["out"],
        report_to="none",
        save_strategy="no",
        num_train_epochs=1,
        disable_tqdm=True,
        gradient_accumulation_steps=spec["batch_rows"] // SFTConfig.per_device_train_batch_size,
        # Its default is bfloat16 everywhere, which would be a straw man where the processor does not multiply it.
        bf16=None if spec["dtype"] == "bfloat16" else False,
        use_cpu=spec["device"] == "cpu",  # with bfloat16 on, it refuses a processor that it was not told of
        include_num_input_tokens_seen="non_padding",
    )
    trainer = SFTTrainer(
        model=spec["base"],
        args=arguments,
        train_dataset=Dataset.from_dict({"messages": spec["messages"]}),
        peft_config=lora,
        callbacks=[StepLines()],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
