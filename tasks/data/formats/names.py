"""Names by which public data and its tools call what stands beside a text; lower case.

They are all there is to go by, so a name that means several things stands in none of these tables.
"""

# Columns that the question needs, where their value is text, a list of texts, or choices by letter.
CHOICES = ("choices", "options", "answer_choices")
MATERIAL = (
    "input",
    "context",
    "contexts",
    "passage",
    "passages",
    "paragraph",
    "paragraphs",
    "article",
    "document",
    "documents",
    "story",
    *CHOICES,
)
# As likely the question's as not, and of many forms: never put into it without being asked to.
DOUBTFUL = (
    "background",
    "candidates",
    "chat_history",
    "code",
    "conversation_history",
    "dialog",
    "dialogue",
    "endings",
    "examples",
    "excerpt",
    "few_shot",
    "hypothesis",
    "knowledge",
    "premise",
    "previous_messages",
    "previous_turns",
    "retrieved_contexts",
    "retrieved_documents",
    "schema",
    "search_results",
    "snippet",
    "snippets",
    "sql_schema",
    "table",
    "transcript",
)
SYSTEM = ("system", "system_prompt", "system_message", "system_instruction", "sys_prompt")
MEDIA = frozenset(
    name + ending
    for name in ("image", "img", "picture", "photo", "video", "audio", "speech", "sound")
    for ending in ("", "s", "_path", "_paths", "_url", "_urls", "_file", "_files", "_bytes")
) | {"pixel_values"}
REASONING = frozenset(
    (
        "chain_of_thought",
        "cot",
        "rationale",
        "rationales",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "reasoning_text",
        "redacted_thinking",
        "scratchpad",
        "thinking",
        "thought",
        "thoughts",
    )
)
# Whether a message, or a record, teaches: OpenAI, ms-swift, LLaMA-Factory, axolotl, verl.
MARKS = (
    "weight",
    "loss",
    "loss_weight",
    "loss_scale",
    "train",
    "trainable",
    "training",
    "train_on_turn",
    "compute_loss",
    "learnable",
)
# Of whole records: those that tools for labelling were told to leave out, and those they were told to take.
LEFT_OUT = (
    "deleted",
    "discard",
    "discarded",
    "exclude",
    "excluded",
    "ignore",
    "ignored",
    "is_deleted",
    "is_discarded",
    "masked",
    "skip",
    "skipped",
    "was_cancelled",
)
TAKEN = ("accepted", "approved", "include", "included", "is_valid", "keep", "use", "use_for_training", "valid", *MARKS)
PRODIGY = ("_input_hash", "_task_hash")  # beside these, `answer` says what became of the example
DISCARDED = ("discarded",)  # a `status` of Argilla's, and of no ticket
REFUSED = ("discarded", "ignore", "ignored", "reject", "rejected")
