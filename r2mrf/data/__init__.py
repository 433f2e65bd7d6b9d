"""What training and measuring read: a published set, a pair, a variant, a shard, a batch."""
