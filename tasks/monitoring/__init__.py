"""The stage after a release: new rows beside what the champion learnt, its score on them, and the rule to retrain."""
