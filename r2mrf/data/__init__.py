"""Pairs of photo and mask for training and testing: add a published set, a variant or a shard column here."""
