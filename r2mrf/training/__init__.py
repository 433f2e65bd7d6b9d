"""The mathematics of one training run: step, optimizer, pseudo labels."""
