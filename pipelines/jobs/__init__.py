"""Jobs that are run by hand, beside the pipeline, as `python -m pipelines.jobs.NAME`."""
