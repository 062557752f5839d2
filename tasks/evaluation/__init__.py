"""The stage that measures and judges: predict, evaluate, gate, report.

A metric goes into tasks/metrics; a rule that the gate judges by into gate_rules.
"""
