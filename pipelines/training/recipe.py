"""Values of a training recipe that do not affect the weights. This module needs neither torch nor Ray."""

NOT_IN_FINGERPRINT = {"workers", "max_failures"}  # may change between stopping and resuming
