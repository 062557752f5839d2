"""The stage that measures and judges: predict, evaluate, gate, report."""
