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


@pytest.mark.parametrize("count", [1, 2])
def test_a_lane_says_when_a_piece_is_done(monkeypatch, count):
    monkeypatch.setattr(threads, "cores", lambda: count)
    done = []
    with threads.Lane() as lane:
        lane.start(done.append, 1).result()
        assert done == [1]


def test_a_lane_tells_mistakes(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    with threads.Lane() as lane:
        lane.start(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            lane.wait()


def test_together_keeps_its_helpers_and_the_order(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    meeting = threading.Barrier(3, timeout=10)

    def work(piece):
        meeting.wait()
        return piece, threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()

    before, seen = torch.get_num_threads(), set()
    with torch.no_grad():
        for _ in range(3):
            pieces, idents, counts, graded = zip(*threads.together(work, range(3)), strict=True)
            assert (pieces, counts, graded) == ((0, 1, 2), (1, 1, 1), (False, False, False))
            assert threading.get_ident() in idents
            seen |= set(idents)
    assert len(seen) == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_together_tells_mistakes_once_all_is_done(cores, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    assert threads.together(str, []) == []
    assert threads.together(str, range(4)) == ["0", "1", "2", "3"]
    for wrong in range(4):
        with pytest.raises(ZeroDivisionError):
            threads.together(lambda piece, wrong=wrong: 1 / (piece - wrong), range(4))


def test_helpers_take_subnormals_as_the_calling_thread_does(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    meeting = threading.Barrier(2, timeout=10)

    def work(_):
        meeting.wait()
        return bool(torch.full((1,), 1e-38).mul(0.1))

    assert threads.together(work, range(2)) == [True, True]
    with threads.without_subnormals():
        assert threads.together(work, range(2)) == [False, False]
    assert threads.together(work, range(2)) == [True, True]
