"""What flows are made of, a room a subject. README, "Where things go", says how something is added to each.

Floors, each above those before it: core; data, similarity, metrics, model, personal_data; relations, registry;
reporting, contract; and the stages curation, training, evaluation, release, monitoring.
"""
