"""The mathematics of one training run: change the step, the optimiser or the pseudo labels here."""
