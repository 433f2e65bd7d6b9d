"""Jobs run by hand beside the pipeline, each as `python -m pipelines.jobs.NAME`."""
