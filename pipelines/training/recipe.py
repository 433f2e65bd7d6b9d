"""Which values of a training recipe change no weight. Needs neither torch nor Ray."""

NO_MATTER = {"workers", "max_failures"}  # may change between a stop and going on
