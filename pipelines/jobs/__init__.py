"""Jobs outside of the pipeline, run by hand as `python -m pipelines.jobs.NAME`."""
