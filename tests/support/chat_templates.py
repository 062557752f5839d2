"""Chat templates in which tool calls are written as well-known families write them, in the tiny model's own turn
markers.

Written for these tests from the formats' descriptions; what stands around a call is the families' own: Qwen 2.5 and
Hermes (JSON in tags), Llama 3.1 (one bare object, a single call), Mistral (a list behind a token, ids of nine
characters), DeepSeek (a name and then its arguments, joined as text), Qwen 3 Coder (XML).
"""

from __future__ import annotations

_HEAD = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
_TAIL = "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
_TOOLS = (
    "{% if tools %}{{ '<|im_start|>system\\n' }}BEFORE{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}"
)
_TOOLS += "AFTER{{ '<|im_end|>\\n' }}{% endif %}"


def _template(tools: str, calls: str) -> str:
    """calls: what is written for an assistant turn with m['tool_calls']."""
    before, after = tools.split("|")
    said = "{% if m['tool_calls'] %}" + calls + "{% else %}{{ m['content'] }}{% endif %}"
    return _TOOLS.replace("BEFORE", before).replace("AFTER", after) + _HEAD + said + _TAIL


HERMES = _template(
    "# Tools\n<tools>|\n</tools>\nCall as <tool_call>{name, arguments}</tool_call>.",
    "{% if m['content'] %}{{ m['content'] + '\\n' }}{% endif %}{% for call in m['tool_calls'] %}"
    "{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ '<tool_call>\\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
    "{{ (call['function']['arguments'] | tojson) + '}\\n</tool_call>' }}{% endfor %}",
)
LLAMA = _template(
    "Answer with JSON for a call: name, parameters.|",
    "{% if m['tool_calls'] | length != 1 %}{{ raise_exception('This model only supports single tool-calls at once!') }}"
    "{% endif %}{% set function = m['tool_calls'][0]['function'] %}"
    "{{ '{\"name\": \"' + function['name'] + '\", \"parameters\": ' }}"
    "{{ (function['arguments'] | tojson) + '}' }}",
)
MISTRAL = _template(
    "[AVAILABLE_TOOLS]|[/AVAILABLE_TOOLS]",
    "{{ '[TOOL_CALLS] [' }}{% for call in m['tool_calls'] %}{% if call['id'] | length != 9 %}"
    "{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}"
    "{{ (call['function'] | tojson)[:-1] + ', \"id\": \"' + call['id'] + '\"}' }}{% if not loop.last %}{{ ', ' }}{% endif %}"
    "{% endfor %}{{ ']' }}",
)
DEEPSEEK = _template(
    "## Tools|",
    "{{ m['content'] + '<call_begins>' }}{% for call in m['tool_calls'] %}{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ '<call>function<sep>' + call['function']['name'] + '\\n```json\\n' + call['function']['arguments'] }}"
    "{{ '\\n```<call_end>' }}{% endfor %}{{ '<calls_end>' }}",
)
XML = _template(
    "<tools>|</tools>",
    "{% for call in m['tool_calls'] %}{{ '<tool_call>\\n<function=' + call['function']['name'] + '>\\n' }}"
    "{% for key, value in call['function']['arguments'] | items %}"
    "{{ '<parameter=' + key + '>\\n' + (value | string) + '\\n</parameter>\\n' }}{% endfor %}"
    "{{ '</function>\\n</tool_call>' }}{% endfor %}",
)
