"""One training run's mathematics: change the step, the optimiser or the pseudo labels here."""
