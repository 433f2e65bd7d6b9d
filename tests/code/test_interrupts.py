"""Ctrl-C is heard, also where Python drops it."""

import os
import signal
import threading

import pytest

from pipelines.interrupts import remembered


class Finalized:
    """Dies while Ctrl-C is pressed; Python ignores what a finalizer raises, and only says so."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler is called between two of these
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_was_dropped_is_told_when_asked_for():
    with remembered() as check:
        check()
        thing = Finalized()
        del thing  # nothing is raised here
        with pytest.raises(KeyboardInterrupt):
            check()


def test_one_that_is_not_dropped_is_raised_at_once():
    with remembered(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()


def test_what_was_set_before_is_set_again():
    before = signal.getsignal(signal.SIGINT)
    with remembered():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_hear_nothing_and_change_nothing():
    before, heard = signal.getsignal(signal.SIGINT), []

    def work():
        with remembered() as check:
            check()
            heard.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [before]
