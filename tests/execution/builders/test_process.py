"""Builds with the real pip, the real cog and the real sandbox: what works, and what each fault of a creator says."""

import json
import time

import pytest

from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits
from execution.builders.process import build
from execution.builders.source_folder import read_config_of
from execution.builders.steps import masked
from execution.package import PackageError
from execution.views import starter
from tests.execution.workshop import CONFIG, EXAMPLES, Ran, family, leftovers, needs_walls

pytestmark = needs_walls

GOOD = "def run(text: str = 'a', n: int = 3) -> str:\n    return text * n\n"
FUNCTION = 'build:\n  python_version: "3.11"\nrun: "predict.py:run"\n'


def attempt(workshop, files, **options):
    source = workshop.source(files)
    target = workshop.var / "builds" / f"attempt-{time.monotonic_ns()}"
    try:
        return build(source=source, target=target, var=workshop.var, log=workshop.lines.append, **options)
    except BaseException:
        assert not target.exists(), "a failed build left its folder"
        assert not list(target.parent.glob(".*")), "a failed build left its staging"
        raise


def test_an_example_becomes_a_build_with_its_schema(workshop):
    built = workshop.build(EXAMPLES / "hello-text")
    stored = json.loads((built.folder / "src/.cog/openapi_schema.json").read_text())
    assert stored == built.schema
    inputs = built.schema["components"]["schemas"]["Input"]["properties"]
    assert inputs["times"] | {"minimum": 1, "maximum": 100, "default": 1, "x-order": 1} == inputs["times"]
    assert built.schema["components"]["schemas"]["Output"]["x-cog-array-display"] == "concatenate"
    assert len(built.digest) == 64
    assert "cog==0.23.1" in built.packages


@needs_walls
def test_what_the_publish_page_begins_with_builds_and_runs(workshop):
    instance = workshop.start({"cog.yaml": starter.COG_YAML, "predict.py": starter.PREDICT_PY})
    assert Ran(instance, input={"text": "hello"}).outputs == ["HELLO!"]


def test_equal_requirements_share_one_environment_and_salt_parts_the_digests(workshop):
    one = attempt(workshop, {"cog.yaml": FUNCTION, "predict.py": GOOD}, salt="1")
    two = attempt(workshop, {"cog.yaml": FUNCTION, "predict.py": GOOD}, salt="2")
    assert one.python == two.python
    assert one.digest != two.digest


def test_the_shapes_example_is_right_about_its_sample(workshop):
    instance = workshop.start(EXAMPLES / "detect-shapes")
    ran = Ran(instance, input={"image": "f", "annotate": True}, files={"f": EXAMPLES / "detect-shapes/sample.png"})
    assert ran.end.status == "succeeded", ran.end
    boxes = {one["label"]: one for one in ran.outputs[0]["boxes"]}
    assert set(boxes) == {"triangle", "square", "rectangle", "circle", "pentagon"}
    assert boxes["square"]["box"] == [170, 40, 100, 100]
    assert boxes["rectangle"]["box"] == [40, 190, 220, 80]
    assert all(0.9 < one["confidence"] <= 1 for one in boxes.values())
    assert ran.files[0][1] == "image/png"


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"cog.yaml": "predict: other.py:P\n"}, PackageError, "cog.yaml names other.py, which is not in the upload"),
        (
            {"cog.yaml": FUNCTION + "train: train.py:train\n", "predict.py": GOOD},
            PackageError,
            "cog.yaml names train.py, which is not in the upload",
        ),
        (
            {
                "cog.yaml": FUNCTION + "train: train.py:train\n",
                "predict.py": GOOD,
                "train.py": "def train(n: int) -> str:\n    return str(n)\n",
            },
            BuildFailed,
            "train.py:train returns no weights that a version could be made of",
        ),
        ({"cog.yaml": "build: [\n"}, PackageError, "cog.yaml line 2: not valid YAML"),
        (
            {"cog.yaml": CONFIG, "predict.py": "import os\nimport no_such_module\n"},
            BuildFailed,
            "predict.py line 2, in <module>: import no_such_module). Is 'no_such_module' in the requirements?",
        ),
        (
            {"cog.yaml": CONFIG, "predict.py": "import no_such_module\n", "requirements.txt": "no-such-module\n"},
            BuildFailed,
            "cog.yaml does not name requirements.txt, so nothing of it is installed: add build.python_requirements",
        ),
        ({"cog.yaml": CONFIG, "predict.py": "x = 1\ndef broken(:\n"}, BuildFailed, "predict.py line 2"),
        ({"cog.yaml": CONFIG, "predict.py": "x = 1\n"}, BuildFailed, "predict.py has no 'Runner'"),
        ({"cog.yaml": CONFIG, "predict.py": "import os\nos._exit(4)\n"}, BuildFailed, "status 4"),
        ({"cog.yaml": CONFIG, "predict.py": "raise SystemExit('bye')\n"}, BuildFailed, "SystemExit: bye"),
        (
            {"cog.yaml": FUNCTION, "predict.py": "def run(text) -> str:\n    return text\n"},
            BuildFailed,
            "missing type annotation for input: text",
        ),
        (
            {"cog.yaml": FUNCTION, "predict.py": "def run(text: object) -> str:\n    return ''\n"},
            BuildFailed,
            "an input is a str, int, float, bool, cog.Path, dict, or a list of these",
        ),
        (
            {
                "cog.yaml": FUNCTION,
                "predict.py": "from cog import Input\n"
                "def run(size: str = Input(default='c', choices=['a', 'b'])) -> str:\n    return size\n",
            },
            BuildFailed,
            "the default of size, 'c', is not one of its choices",
        ),
        (
            {
                "cog.yaml": FUNCTION.replace("build:\n", "build:\n  python_requirements: requirements.txt\n"),
                "requirements.txt": "# what we need\nturnpike-no-such-package==9.9\n",
                "predict.py": GOOD,
            },
            BuildFailed,
            "requirements.txt line 2: no package for 'turnpike-no-such-package==9.9'",
        ),
        (
            {
                "cog.yaml": FUNCTION.replace("build:\n", "build:\n  system_packages: [no-such-package-at-all]\n"),
                "predict.py": GOOD,
            },
            BuildFailed,
            "apt-get install no-such-package-at-all",
        ),
        (
            {"cog.yaml": FUNCTION.replace("build:\n", "build:\n  run: [make]\n"), "predict.py": GOOD},
            PackageError,
            "needs the docker builder",
        ),
    ],
)
def test_each_fault_says_what_and_where(workshop, files, error, words):
    before = family()
    with pytest.raises(error) as failure:
        attempt(workshop, files)
    assert words in str(failure.value)
    assert leftovers(before) == set()


def test_no_cog_yaml_is_said(tmp_path):
    with pytest.raises(PackageError, match=r"no cog\.yaml at the top"):
        build(source=tmp_path, target=tmp_path / "out", var=tmp_path / "var", log=lambda _: None)
    deeper = tmp_path / "mine/model"
    deeper.mkdir(parents=True)
    (deeper / "cog.yaml").write_text(CONFIG)
    with pytest.raises(PackageError, match="but one in mine/model/: upload that folder"):
        read_config_of(tmp_path)
    (tmp_path / "Cog.yml").write_text(CONFIG)
    with pytest.raises(PackageError, match=r"but a Cog\.yml: rename it to cog\.yaml"):
        read_config_of(tmp_path)


def test_an_import_that_hangs_meets_the_limit(workshop):
    before = family()
    with pytest.raises(BuildFailed, match="limit of 2 s"):
        attempt(workshop, {"predict.py": "import time\ntime.sleep(99)\n"}, limits=BuildLimits(inspect_seconds=2.0))
    assert leftovers(before) == set()


def test_a_build_can_be_canceled(workshop):
    at = time.monotonic() + 1.5
    with pytest.raises(BuildCanceled):
        attempt(workshop, {"predict.py": "import time\ntime.sleep(98)\n"}, is_canceled=lambda: time.monotonic() > at)


def test_imported_code_sees_no_network_no_secret_and_writes_nowhere(workshop, monkeypatch):
    monkeypatch.setenv("TURNPIKE_CANARY", "s3cret")
    code = """
        import os, socket
        found = [key for key in os.environ if "CANARY" in key]
        try:
            socket.create_connection(("127.0.0.1", 22), 1)
        except OSError as error:
            found.append(type(error).__name__)
        try:
            open("note.txt", "w")
        except OSError as error:
            found.append(error.strerror)
        raise RuntimeError(f"found {found}")
    """
    with pytest.raises(BuildFailed, match="Read-only file system") as failure:
        attempt(workshop, {"predict.py": code})
    assert "CANARY" not in str(failure.value)


def test_the_upload_has_a_size_limit(workshop):
    with pytest.raises(BuildFailed, match="the limit is 100"):
        attempt(workshop, {"cog.yaml": FUNCTION, "predict.py": GOOD}, limits=BuildLimits(source_bytes=100))


def test_credentials_of_addresses_are_masked_in_logs():
    line = "Looking in indexes: https://user:pa55@index.example/simple, https://tok@b.example/"
    assert masked(line) == "Looking in indexes: https://***@index.example/simple, https://***@b.example/"
