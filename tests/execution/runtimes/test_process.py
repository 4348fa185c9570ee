"""The process runtime with the real cog package: what a sound model does, and every way in which one can be unsound."""

import os
import signal
import threading
import time

import psutil
import pytest

from execution.runtimes import sandbox
from execution.runtimes.base import InstanceSpec, Output, RunLimits, SetupFailed, Started, StartFailed
from execution.runtimes.process import ProcessRuntime
from tests.execution.workshop import EXAMPLES, Ran, family, leftovers, needs_walls

pytestmark = needs_walls

FILES = """
    from typing import Optional
    from cog import BaseModel, BaseRunner, Input, Path

    class Out(BaseModel):
        sizes: list[int]
        copy: Path

    class Runner(BaseRunner):
        def run(self, one: Path, more: Optional[list[Path]] = None, size: int = 3) -> list[Path]:
            print(open(one).read(), [open(path).read() for path in more or []])
            for name in ("a.bin", "b/a.bin"):
                path = Path("/tmp") / name
                path.parent.mkdir(exist_ok=True)
                with open(path, "wb") as file:
                    file.truncate(size)
            return [Path("/tmp/a.bin"), Path("/tmp/b/a.bin")]

    def nested(one: Path) -> Out:
        Path("/tmp/copy.txt").write_bytes(open(one, "rb").read())
        return Out(sizes=[1, 2], copy=Path("/tmp/copy.txt"))
"""

WILD = """
    import os, signal, subprocess, sys, time
    from cog import BaseRunner, Input

    class Runner(BaseRunner):
        def run(self, what: str, n: int = Input(default=0)) -> str:
            return getattr(self, what)(n)

        def fail(self, n):
            raise ValueError("no such shape")

        def measure(self, n):
            return float("nan")

        def die(self, n):
            os.kill(os.getpid(), signal.SIGKILL)

        def leave(self, n):
            os._exit(3)

        def chat(self, n):
            line = "y" * 999
            for _ in range(n):
                print(line)
            return "done"

        def shout(self, n):
            print("z" * n)
            return "done"

        def swell(self, n):
            return "x" * n

        def hoard(self, n):
            return str(len(bytearray(n)))

        def crowd(self, n):
            code = "x = bytearray(60_000_000); import time; time.sleep(60)"
            children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(n)]
            time.sleep(60)

        def sleep(self, n):
            end = time.monotonic() + n
            while time.monotonic() < end:
                time.sleep(0.05)
            return "slept"

        def block(self, n):
            time.sleep(n)  # one call into C: an exception cannot interrupt it
            return "slept"

        def deaf(self, n):
            end = time.monotonic() + n
            while time.monotonic() < end:
                try:
                    time.sleep(0.1)
                except BaseException:
                    pass
            return "heard nothing"

        def bomb(self, n):
            made = 0
            try:
                while made < 5000:
                    if os.fork() == 0:
                        time.sleep(600)
                    made += 1
            except OSError as error:
                return f"{made} {error.strerror}"
            return f"{made} no limit"

        def haunt(self, n):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(600)
                os._exit(0)
            return "gone"
"""


def settled(instance):
    """Its health once the slot is free: Cog says busy for a moment after it has told the end of a run."""
    deadline = time.monotonic() + 30
    while (health := instance.health()) == "busy" and time.monotonic() < deadline:
        time.sleep(0.02)
    return health


def test_output_and_logs_come_while_the_model_works(workshop):
    instance = workshop.start(EXAMPLES / "hello-text")
    at = []
    events = []
    for event in instance.predict(
        prediction_id="p1", input={"text": "Ada", "times": 3, "seconds": 0.9}, files={}, sink=lambda _: ""
    ):
        events.append(event)
        if isinstance(event, Output):
            at.append(time.monotonic())
    assert isinstance(next(event for event in events if isinstance(event, Started | Output)), Started)
    assert [event.value for event in events if isinstance(event, Output)] == ["hello Ada, ", "hello Ada, ", "hello Ada"]
    assert at[1] - at[0] > 0.2
    assert at[2] - at[1] > 0.2
    end = events[-1]
    assert (end.status, end.error, end.instance_lost) == ("succeeded", "", False)
    assert 0.85 < end.metrics["predict_time"] < 20
    assert abs(end.seconds - end.metrics["predict_time"]) < 2
    assert instance.setup_logs == "hello-text is ready"
    assert settled(instance) == "ready"


def test_back_to_back_predictions_meet_no_busy_slot(workshop):
    instance = workshop.start(EXAMPLES / "hello-text")
    began = time.monotonic()
    for _ in range(20):
        assert Ran(instance).end.status == "succeeded"
    assert time.monotonic() - began < 20  # a busy slot would be asked again and again


def test_files_go_in_and_come_out_through_the_door(workshop, tmp_path):
    for name in ("in put.txt", "second.txt"):
        (tmp_path / name).write_text(f"I am {name}")
    instance = workshop.start(FILES)
    ran = Ran(
        instance,
        input={"one": "file:1", "more": ["file:2", "file:1"]},
        files={"file:1": tmp_path / "in put.txt", "file:2": tmp_path / "second.txt"},
    )
    assert ran.end.status == "succeeded", ran.end
    assert ran.logs == "I am in put.txt ['I am second.txt', 'I am in put.txt']\n"
    assert ran.outputs == [["kept:a.bin", "kept:a.bin"]]
    assert ran.files == [("a.bin", "application/octet-stream", b"\0\0\0")] * 2


def test_files_inside_an_object_come_out_too(workshop, tmp_path):
    (tmp_path / "x.txt").write_text("text")
    config = 'build: {python_version: "3.11"}\nrun: "predict.py:nested"\n'
    instance = workshop.start({"cog.yaml": config, "predict.py": FILES})
    ran = Ran(instance, input={"one": "f"}, files={"f": tmp_path / "x.txt"})
    assert ran.outputs == [{"sizes": [1, 2], "copy": "kept:output-1.txt"}]
    assert ran.files == [("output-1.txt", "text/plain", b"text")]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"file_bytes": 1000}, "an output file of 5000 bytes is over the limit of 1000 bytes"),
        ({"files_bytes": 8000}, "the output files together are over the limit of 8000 bytes"),
        ({"files": 1}, "more than 1 output files"),
    ],
)
def test_output_files_over_a_limit_stop_the_run_and_name_it(workshop, tmp_path, bounds, words):
    (tmp_path / "x").write_text("x")
    instance = workshop.start(FILES, **bounds)
    ran = Ran(instance, input={"one": "f", "size": 5000}, files={"f": tmp_path / "x"})
    assert (ran.end.status, ran.end.instance_lost) == ("failed", True)
    assert words in ran.end.error


def test_an_input_that_cog_refuses_fails_with_its_words(workshop):
    ran = Ran(workshop.start(EXAMPLES / "hello-text"), input={"times": 1000})
    assert ran.end.status == "failed"
    assert "times" in ran.end.error
    assert not ran.end.instance_lost


def test_a_raising_model_fails_with_its_own_message_and_stays(workshop):
    instance = workshop.start(WILD)
    ran = Ran(instance, input={"what": "fail"})
    assert (ran.end.status, ran.end.error) == ("failed", "ValueError: no such shape")
    ran = Ran(instance, input={"what": "measure"})
    assert ran.end.status == "failed"
    assert "NaN, infinity and half of a character" in ran.end.error
    assert settled(instance) == "ready"


@pytest.mark.parametrize("what", ["die", "leave"])
def test_a_model_that_kills_itself_fails_the_run_and_loses_the_instance(workshop, what):
    instance = workshop.start(WILD)
    ran = Ran(instance, input={"what": what})
    assert (ran.end.status, ran.end.instance_lost) == ("failed", True)
    assert "ended in the middle of the run" in ran.end.error
    assert instance.health() == "lost"


@pytest.mark.parametrize("victim", ["outermost", "worker"])
def test_kill_9_from_outside_ends_the_run_at_once(workshop, victim):
    instance = workshop.start(WILD)
    root = psutil.Process(instance.pid)
    pid = root.pid if victim == "outermost" else root.children(recursive=True)[-1].pid
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    began = time.monotonic()
    ran = Ran(instance, input={"what": "sleep", "n": 30})
    assert time.monotonic() - began < 20  # of thirty seconds
    assert (ran.end.status, ran.end.instance_lost) == ("failed", True)


def test_a_cancel_ends_the_run_and_keeps_the_instance(workshop):
    instance = workshop.start(WILD)
    at = time.monotonic() + 0.5
    ran = Ran(instance, input={"what": "sleep", "n": 30}, is_canceled=lambda: time.monotonic() > at)
    assert (ran.end.status, ran.end.instance_lost) == ("canceled", False)
    assert 0.4 < ran.end.seconds < 20
    assert Ran(instance, input={"what": "sleep"}).outputs == ["slept"]


@pytest.mark.parametrize("what", ["deaf", "block"])
def test_a_model_deaf_to_cancel_is_killed(workshop, what):
    instance = workshop.start(WILD, cancel_seconds=1.0)
    ran = Ran(instance, input={"what": what, "n": 60}, is_canceled=lambda: True)
    assert (ran.end.status, ran.end.instance_lost) == ("canceled", True)
    assert ran.end.seconds < 30  # of a minute


def test_a_run_over_its_time_fails_and_names_the_limit(workshop):
    instance = workshop.start(WILD)
    ran = Ran(instance, input={"what": "sleep", "n": 60}, run_seconds=0.5)
    assert (ran.end.status, ran.end.error) == ("failed", "The run took longer than the limit of 0.5 s.")
    assert ran.end.seconds < 30


def test_a_caller_that_loses_interest_frees_the_slot(workshop):
    instance = workshop.start(WILD)
    events = instance.predict(prediction_id="p", input={"what": "sleep", "n": 60}, files={}, sink=lambda _: "")
    assert isinstance(next(event for event in events if isinstance(event, Started)), Started)
    events.close()
    assert Ran(instance, input={"what": "sleep"}).outputs == ["slept"]


@pytest.mark.parametrize(("what", "n"), [("chat", 100_000), ("shout", 100_000_000)])
def test_100_mb_of_prints_are_cut_and_cost_us_no_memory(workshop, what, n):
    instance = workshop.start(WILD)
    before = psutil.Process().memory_info().rss
    ran = Ran(instance, input={"what": what, "n": n})
    if what == "chat" and "faster than this host could read it" in ran.end.error:
        assert ran.end.instance_lost  # on a busy host Cog cuts us off, maybe before the limit; the run says so
    else:
        assert ran.end.status == "succeeded", ran.end
        assert ran.outputs == ["done"]
        assert "cut here: it is longer than the limit of 1048576 bytes" in ran.logs
    assert len(ran.logs) < 1_048_576 + 200
    assert psutil.Process().memory_info().rss - before < 60_000_000


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (100_000_000, "its output is over the limit of 33554432 bytes"),
        (1_000_000_000, "MemoryError (the limit is 2000000000 bytes)"),
    ],
)
def test_what_is_too_large_to_return_is_stopped_at_a_limit_that_is_named(workshop, n, words):
    instance = workshop.start(WILD, memory_bytes=2_000_000_000)
    before = psutil.Process().memory_info().rss
    ran = Ran(instance, input={"what": "swell", "n": n})
    assert ran.end.status == "failed"
    assert words in ran.end.error
    assert psutil.Process().memory_info().rss - before < 150_000_000


def test_memory_is_bounded_per_process_and_for_all_together(workshop):
    instance = workshop.start(WILD, memory_bytes=600_000_000)
    assert "MemoryError" in Ran(instance, input={"what": "hoard", "n": 2_000_000_000}).end.error
    ran = Ran(instance, input={"what": "crowd", "n": 15})
    assert ran.end.status == "failed"
    assert "more memory than the limit of 600000000 bytes" in ran.end.error


def test_a_fork_bomb_is_bounded_and_leaves_nothing(workshop):
    if not (sandbox.survey().own_uid or sandbox.survey().processes_by_namespace):
        pytest.skip("neither an own user nor counting per namespace: this kernel cannot bound forks for us")
    before = family()
    instance = workshop.start(WILD, processes=100)
    made, _, why = Ran(instance, input={"what": "bomb"}).outputs[0].partition(" ")
    assert 10 < int(made) < 100
    assert why == "Resource temporarily unavailable"
    instance.stop()
    assert leftovers(before) == set()


def test_a_process_that_left_its_session_dies_with_the_instance(workshop):
    before = family()
    instance = workshop.start(WILD)
    assert Ran(instance, input={"what": "haunt"}).outputs == ["gone"]
    instance.stop()
    assert leftovers(before) == set()


SETUP = """
    import os, time
    from cog import BaseRunner
    class Runner(BaseRunner):
        def setup(self):
            print("loading weights", flush=True)
            {body}
        def run(self) -> str:
            return "x"
"""


@pytest.mark.parametrize(
    ("body", "seconds", "words"),
    [
        ('raise RuntimeError("weights missing")', 60.0, "setup() failed: RuntimeError: weights missing"),
        ("time.sleep(600)", 1.0, "setup() took longer than the limit of 1 s"),
        ("os._exit(7)", 60.0, "setup"),
        ("while True: pass", 1.0, "setup() took longer than the limit of 1 s"),
    ],
)
def test_a_setup_that_fails_says_how_and_leaves_nothing(workshop, body, seconds, words):
    before = family()
    with pytest.raises(SetupFailed) as failure:
        workshop.start(SETUP.format(body=body), setup_seconds=seconds)
    assert words in failure.value.message
    said = failure.value.logs.splitlines()
    assert "loading weights" in said or seconds > 1  # Cog may lose what a setup says just before it dies
    assert not [line for line in said if line.startswith("{") or "DeprecationWarning" in line], said
    assert leftovers(before) == set()


def test_a_start_can_be_canceled(workshop):
    built = workshop.build(SETUP.format(body="time.sleep(601)"))
    at = time.monotonic() + 0.5
    with pytest.raises(StartFailed, match="canceled"):
        ProcessRuntime(var=workshop.var).start(
            InstanceSpec(version_id="v", build=built.folder, limits=RunLimits()),
            is_canceled=lambda: time.monotonic() > at,
        )


def test_a_build_that_is_gone_is_the_hosts_fault(workshop, tmp_path):
    with pytest.raises(StartFailed, match="cannot be read"):
        ProcessRuntime(var=workshop.var).start(InstanceSpec(version_id="v", build=tmp_path / "nothing"))
