"""Independent pieces on all cores, each operation with one thread."""

import threading

import pytest
import torch

from siamese_mnist.system import threads


def test_cores_outlast_a_single_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads.threads(1):
            assert (torch.get_num_threads(), threads.cores()) == (1, 2)
            with threads.threads(1):
                assert threads.cores() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_for_each_gives_the_threads_back(monkeypatch):
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(threads, "cores", lambda: 2)
    threads.for_each(lambda piece: seen.append((piece, torch.get_num_threads())), range(4))
    assert sorted(seen) == [(piece, 1) for piece in range(4)]
    assert torch.get_num_threads() == before


def test_subnormals_are_zero_for_a_while():
    small = torch.full((64,), 1e-38)
    assert bool((small * 0.1).any())
    with threads.without_subnormals():
        assert not bool((small * 0.1).any())
        with threads.without_subnormals():
            pass
        assert not bool((small * 0.1).any())
    assert bool((small * 0.1).any())


@pytest.mark.parametrize("count", [1, 2])
def test_a_lane_keeps_the_order(monkeypatch, count):
    monkeypatch.setattr(threads, "cores", lambda: count)
    done, seen = [], set()

    def work(number):
        done.append(number)
        seen.add(threading.get_ident())

    with threads.Lane() as lane:
        for number in range(100):
            lane.start(work, number)
        lane.wait()
        assert done == list(range(100))
        assert (threading.get_ident() in seen) == (count == 1)


def test_a_lane_tells_mistakes(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    with threads.Lane() as lane:
        lane.start(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            lane.wait()
