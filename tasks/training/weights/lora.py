"""LoRA: two small matrices beside each of the frozen ones, kept as a PEFT adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tasks.core.process.hardware import Machine
from tasks.model.loading import load_weights
from tasks.training.weights.base import WeightsSettings

SHORT_ROW = 256  # tokens; see load


class LoraSettings(WeightsSettings):
    """The defaults follow "LoRA Without Regret" (Schulman et al., Thinking Machines, 2025)."""

    # Which weights are trained: two small matrices beside each frozen one, as good as all of them on small data.
    form: Literal["lora"] = "lora"
    # Rank matters little on small sets; 16 is ample for hundreds to thousands of rows.
    rank: int = Field(default=16, ge=1, le=512)
    # The study's alpha; the update is scaled by alpha / rank.
    alpha: int = Field(default=32, ge=1, le=1024)


class Lora:
    """Train an adapter and leave the base model as it is."""

    title = "LoRA"
    settings = LoraSettings

    def learning_rate(self, hidden: int) -> float:
        """The study's fit, 10 times the best rate of full fine-tuning."""
        return float(5e-4 * (2000 / hidden) ** 0.78)

    def load(self, base: Path, settings: LoraSettings, machine: Machine, longest: int) -> Any:
        """The base model with an adapter that changes nothing yet; its first values follow from torch's seed."""
        from peft import LoraConfig, get_peft_model

        # Measured in bfloat16 on a CPU: below about 500 tokens torch's fused attention is up to four times slower than
        # the plain one, whose memory grows with the square of the length.
        plain = machine.device == "cpu" and machine.dtype == "bfloat16" and longest <= SHORT_ROW
        attention = {"attn_implementation": "eager"} if plain else {}
        model = load_weights(base, dtype=machine.torch_dtype(), **attention)
        lora = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=0.0,  # the study: no gain, and it would blur resume
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, lora)

    def save(self, model: Any, out: Path) -> None:
        """Weights and configuration, and nothing that names this machine: the same training gives the same bytes."""
        model.save_pretrained(out)
        (out / "README.md").unlink(missing_ok=True)
        config = json.loads((out / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = None  # the registry pins the base by digest
        config["target_modules"] = sorted(config["target_modules"])
        (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True))


MEMBER = Lora()
