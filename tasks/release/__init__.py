"""The stage that gives a model out: register, promote, roll back, reconcile, score."""
