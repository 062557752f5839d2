"""Ten families of public chat templates on the tiny model's tokenizer, each in our own words from its documented form.

    tokenizer = FAMILIES["llama-3"].tokenizer()

What a family refuses or leaves out, it does here as there: Llama-2, Mistral and Gemma want users and assistants in turn,
Gemma takes no system prompt, the first form of Phi-3 drops it, DeepSeek-R1 leaves reasoning out of earlier turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.tiny_model import CHATML, tiny_tokenizer

_IN_TURN = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}"
)
_SYSTEM_FIRST = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}"
    "{% else %}{% set system = '' %}{% endif %}"
)
LLAMA_2 = (
    _SYSTEM_FIRST + _IN_TURN + "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{% if loop.first and system %}{% set said = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] %}"
    "{% else %}{% set said = m['content'] %}{% endif %}{{ bos_token + '[INST] ' + said.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + (m['content'] | trim) + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
MISTRAL = (
    _SYSTEM_FIRST + "{{ bos_token }}" + _IN_TURN + "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{% if loop.last and system %}{{ '[INST] ' + system + '\\n\\n' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + (m['content'] | trim) + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + _IN_TURN
    + "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + (m['content'] | trim) + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
PHI_3_FIRST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '<|user|>\\n' + m['content'] + '<|end|>\\n<|assistant|>\\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"
)
PHI_3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
# Without reasoning in it, the last answer is written behind an empty one, and earlier ones bare.
_LAST_ANSWER = (
    "{% set parts = m['content'].split('</think>') %}{% set said = parts[-1].lstrip('\\n') %}"
    "{% set thought = parts[0].split('<think>')[-1].strip('\\n') if parts | length > 1 else '' %}"
    "{% if loop.last %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' + said }}{% else %}{{ said }}{% endif %}"
)
QWEN_3 = (
    "{% if tools %}{{ '<|im_start|>system\\n# Tools\\n<tools>' }}"
    "{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}"
    "{{ '\\n</tools>\\nA call is <tool_call>{name, arguments}</tool_call>.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{% if m['role'] == 'assistant' %}" + _LAST_ANSWER + "{% for call in m['tool_calls'] or [] %}"
    "{{ '\\n<tool_call>\\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
    "{{ (call['function']['arguments'] | tojson) + '}\\n</tool_call>' }}{% endfor %}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}THINK{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<\uff5cUser\uff5c>' + m['content'] }}"
    "{% elif m['role'] == 'assistant' %}"
    "{{ '<\uff5cAssistant\uff5c>' + m['content'].split('</think>')[-1] + '<\uff5cend\u2581of\u2581sentence\uff5c>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c>THINK' }}{% endif %}"
)
GRANITE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|start_of_role|>system<|end_of_role|>Today is ' }}"
    "{{ strftime_now('%B %d, %Y') + '. You are helpful.<|end_of_text|>\\n' }}{% endif %}"
    "{% for m in messages %}"
    "{{ '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] + '<|end_of_text|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)
PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
OPEN_END = (  # the last answer is left open, to be continued
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}"
    "{% if add_generation_prompt or not loop.last %}{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GLM = (  # a turn ends where the next one begins
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m['content'] }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% else %}"
    "{{ '<|start|>' + ('developer' if m['role'] == 'system' else m['role']) + '<|message|>' + m['content'] + '<|end|>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
BARE = "{{ messages[-1]['content'] }}"


@dataclass(frozen=True)
class Family:
    """A chat template with its special tokens. end: what it ends a turn with. refuses: kinds of conversations that it
    cannot write, and a piece of the reason. rewrites: earlier turns are written so that they are only read.
    """

    template: str | Mapping[str, str]
    end: str
    special: tuple[str, ...] = ()
    added: tuple[str, ...] = ()  # tokens of their own that are not special
    bos: str = ""
    eos: str = ""
    refuses: Mapping[str, str] = field(default_factory=dict)
    rewrites: bool = False
    lead: str = ""  # what an answer begins with beside what it says
    sentencepiece: bool = False  # a blank goes before every text
    strips: bool = False  # special tokens swallow the white space behind them

    def tokenizer(self) -> Any:
        """The tiny tokenizer with these tokens; its end of text is not the end of a turn where `eos` is another."""
        return tiny_tokenizer(
            ["Where is my parcel? It is on its way. Be brief."],
            special=tuple(filter(None, (*self.special, self.end, self.bos, self.eos))),
            added=self.added,
            bos=self.bos,
            eos=self.eos or self.end,
            template=self.template if isinstance(self.template, str) else dict(self.template),
            sentencepiece=self.sentencepiece,
            strips=self.strips,
        )


_NO_TOOLS = {"tools": "does not write the tools"}
_NO_SYSTEM = {"system": "System role not supported"}
_IM = {"end": "<|im_end|>", "special": ("<|im_start|>",), "eos": "<|endoftext|>"}
_QWEN = {**_IM, "added": ("<think>", "</think>", "<tool_call>", "</tool_call>")}
_DEEP = {
    "end": "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "added": ("<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<think>", "</think>"),
    "bos": "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
    "refuses": _NO_TOOLS,
}
FAMILIES: dict[str, Family] = {
    "chatml": Family(CHATML, **_IM, refuses=_NO_TOOLS),
    "chatml with an open end": Family(OPEN_END, **_IM, refuses=_NO_TOOLS),
    "llama-2": Family(LLAMA_2, "</s>", bos="<s>", refuses=_NO_TOOLS, sentencepiece=True),
    "llama-3": Family(
        LLAMA_3,
        "<|eot_id|>",
        ("<|start_header_id|>", "<|end_header_id|>"),
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
        refuses=_NO_TOOLS,
    ),
    "mistral": Family(MISTRAL, "</s>", bos="<s>", refuses=_NO_TOOLS, sentencepiece=True),
    "gemma": Family(
        GEMMA, "<end_of_turn>", ("<start_of_turn>",), bos="<bos>", eos="<eos>", refuses={**_NO_TOOLS, **_NO_SYSTEM}
    ),
    "phi-3, first form": Family(
        PHI_3_FIRST,
        "<|end|>",
        ("<|user|>", "<|assistant|>"),
        bos="<s>",
        eos="<|endoftext|>",
        refuses={**_NO_TOOLS, "system": "does not write the system prompt"},
    ),
    "phi-3": Family(
        PHI_3,
        "<|end|>",
        ("<|user|>", "<|assistant|>", "<|system|>"),
        eos="<|endoftext|>",
        refuses=_NO_TOOLS,
        sentencepiece=True,
        strips=True,
    ),
    "qwen-3": Family(QWEN_3.replace("THINK", ""), **_QWEN),
    "qwen-3, always thinking": Family(QWEN_3.replace("THINK", "{{ '<think>\\n' }}"), **_QWEN, rewrites=True),
    "deepseek-v3": Family(DEEPSEEK.replace("THINK", ""), **_DEEP),
    "deepseek-r1": Family(DEEPSEEK.replace("THINK", "<think>\\n"), **_DEEP, rewrites=True),
    "granite": Family(
        GRANITE, "<|end_of_text|>", ("<|start_of_role|>", "<|end_of_role|>"), eos="<|end_of_text|>", refuses=_NO_TOOLS
    ),
    "glm-4": Family(
        GLM,
        "<|endoftext|>",
        ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>"),
        refuses=_NO_TOOLS,
        rewrites=True,
    ),
    "gpt-oss": Family(
        HARMONY,
        "<|return|>",
        ("<|start|>", "<|message|>", "<|channel|>", "<|end|>"),
        eos="<|return|>",
        refuses=_NO_TOOLS,
        rewrites=True,
        lead="<|channel|>final<|message|>",
    ),
    "several named": Family({"default": CHATML, "tool_use": QWEN_3.replace("THINK", "")}, **_QWEN),
    "content in parts": Family(PARTS, **_IM, refuses=_NO_TOOLS),
}
