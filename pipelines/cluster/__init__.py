"""Ray: connecting to it, and progress that reads well in its logs."""
