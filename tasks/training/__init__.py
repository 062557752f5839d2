"""The stage that trains: fetch the base model, train on the dataset in a process of its own (trainer).

A training method (DPO, say) is one file in methods; a form of weights (LoRA, say) one file in weights.
"""
