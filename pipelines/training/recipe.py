"""Values of a training recipe that change no weight. Needs neither torch nor Ray."""

NOT_IN_FINGERPRINT = {"workers", "max_failures"}  # may change between a stop and going on
