"""Ray: connecting to a cluster, and progress lines that are readable in its logs."""
