"""Pairs of photo and mask for training and measuring: add a published set, a variant or a column of the shards here."""
