"""Exchange with other programs: predictions of theirs scored as a run, and frames with their motion
and labels exported, so that they can run on the same input (docs/elsewhere.md)."""
