"""Scoring that uses Ray even for few photos; `supervised` calls it in a child process."""

from pipelines.scoring import crew, run


def by_ray(*arguments, report) -> dict:
    """Run `run.score` as on a machine with a GPU: the driver's threads do nothing."""
    crew.has_gpu = lambda: True
    return run.score(*arguments, report)


def taken_over_by_ray(*arguments, report) -> dict:
    """Run `run.score` so that Ray starts after the first chunks, and the threads wait meanwhile."""
    connected = crew.Crew._connected

    def stop_and_connect(workers: crew.Crew) -> crew.RayData:
        workers._threads.stop()
        return connected(workers)

    crew.Crew._connected, crew.pays = stop_and_connect, lambda copies, seconds: True
    return run.score(*arguments, report)
