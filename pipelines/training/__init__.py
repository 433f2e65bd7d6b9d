"""A training run on many machines: workers, states, and the search over runs."""
