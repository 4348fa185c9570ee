"""Uploads of strangers: cog.yaml in both spellings, and every way in which an archive can attack us."""

import io
import re
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.package import PackageError, UnpackLimits, digest, read_config, read_requirements, unpack


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, content in entries:
            zipped.writestr(zipfile.ZipInfo(name) if name else name, content, method)
    return file


def special(kind: int, name: str = "thing", content: bytes = b"/etc/passwd") -> io.BytesIO:
    file = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(info, content)
    return file


def patched(file: io.BytesIO, old: bytes, new: bytes) -> io.BytesIO:
    assert len(old) == len(new)
    assert old in file.getvalue()
    return io.BytesIO(file.getvalue().replace(old, new))


class TestUnpack:
    def test_files_come_out_with_their_contents_and_executable_bits(self, tmp_path):
        file = archive(("cog.yaml", b"predict: a"), ("weights/one.bin", b"\x00" * 10))
        manifest = unpack(file, tmp_path / "out")
        assert [(one.path, one.size) for one in manifest.entries] == [("cog.yaml", 10), ("weights/one.bin", 10)]
        assert (tmp_path / "out/weights/one.bin").read_bytes() == b"\x00" * 10
        assert stat.S_IMODE((tmp_path / "out/cog.yaml").stat().st_mode) == 0o644

    def test_a_zip_of_one_folder_is_unpacked_without_it(self, tmp_path):
        unpack(archive(("model/cog.yaml", b"x"), ("model/predict.py", b"y")), tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cog.yaml", "predict.py"]

    def test_what_macs_and_git_add_is_left_out(self, tmp_path):
        file = archive(
            ("__MACOSX/._cog.yaml", b"x"), (".git/config", b"x"), ("a/__pycache__/a.pyc", b"x"), ("b.py", b"x")
        )
        assert [one.path for one in unpack(file, tmp_path / "out").entries] == ["b.py"]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("../evil", "leads out"),
            ("a/../../evil", "leads out"),
            ("a/..", "leads out"),
            ("/etc/passwd", "absolute path"),
            ("..\\evil", "backslash"),
            ("C:/evil", "drive"),
            ("c:evil", "drive"),
            ("a\nb", "control character"),
            ("con.txt", "not every system"),
            ("trailing. /x", "not every system"),
            ("a/" * 31 + "x", "deeper than 30"),
            ("n" * 241, "longer than 240"),
            ("./.", "no name"),
        ],
    )
    def test_a_name_that_leads_elsewhere_is_refused_by_name(self, tmp_path, name, words):
        with pytest.raises(PackageError, match=words):
            unpack(archive((name, b"x")), tmp_path / "out")
        assert not (tmp_path / "evil").exists()

    def test_a_name_cut_at_nul_by_the_library_is_seen_whole(self, tmp_path):
        with pytest.raises(PackageError, match="NUL"):
            unpack(patched(archive(("good.pyXevil", b"x")), b"good.pyXevil", b"good.py\x00evil"), tmp_path / "out")

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (stat.S_IFLNK, "symbolic link"),
            (stat.S_IFCHR, "device"),
            (stat.S_IFBLK, "device"),
            (stat.S_IFIFO, "device, pipe"),
            (stat.S_IFSOCK, "socket"),
            (stat.S_IFDIR, "both a file and a folder"),
        ],
    )
    def test_what_is_neither_file_nor_folder_is_refused(self, tmp_path, kind, words):
        with pytest.raises(PackageError, match=words):
            unpack(special(kind), tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []

    @pytest.mark.parametrize(
        ("first", "second", "words"),
        [
            ("a.py", "a.py", "twice"),
            ("a.py", "./a.py", "twice"),
            ("A.py", "a.py", "differ only in case"),
            ("Lib/a.py", "lib/b.py", "differ only in case"),
            ("caf\u00e9", "cafe\u0301", "differ only in case or accents"),
            ("stra\u00dfe", "STRASSE", "differ only in case"),
            ("a", "a/b", "both a file and a folder"),
            ("a/b", "a", "both a file and a folder"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_names_that_fall_together_are_refused(self, tmp_path, first, second, words):
        with pytest.raises(PackageError, match=words):
            unpack(archive((first, b"x"), (second, b"y")), tmp_path / "out")

    def test_10001_entries_are_refused_by_number(self, tmp_path):
        file = archive(*((f"f{n}", b"") for n in range(10_001)), method=zipfile.ZIP_STORED)
        with pytest.raises(PackageError, match=r"10001 entries; the limit is 10000"):
            unpack(file, tmp_path / "out")

    def test_a_count_that_lies_does_not_help(self, tmp_path):
        whole = bytearray(archive(*((f"f{n}", b"") for n in range(50)), method=zipfile.ZIP_STORED).getvalue())
        end = whole.rindex(b"PK\x05\x06")
        struct.pack_into("<HH", whole, end + 8, 1, 1)
        with pytest.raises(PackageError, match=r"entries; the limit is 10|not a sound zip"):
            unpack(io.BytesIO(bytes(whole)), tmp_path / "out", UnpackLimits(entries=10))

    def test_a_table_of_contents_too_long_is_refused_before_it_is_read(self, tmp_path):
        whole = bytearray(
            archive(*((f"f{n}" + "x" * 200, b"") for n in range(50)), method=zipfile.ZIP_STORED).getvalue()
        )
        struct.pack_into("<HH", whole, whole.rindex(b"PK\x05\x06") + 8, 1, 1)
        with pytest.raises(PackageError, match="table of contents"):
            unpack(io.BytesIO(bytes(whole)), tmp_path / "out", UnpackLimits(entries=10))

    def test_a_ratio_of_1000_to_1_is_refused_and_named(self, tmp_path):
        with pytest.raises(PackageError, match=r"'bomb'.*100 times"):
            unpack(archive(("bomb", b"\x00" * 20_000_000)), tmp_path / "out")

    def test_small_files_of_zeros_are_fine(self, tmp_path):
        assert unpack(archive(("zeros", b"\x00" * 500_000)), tmp_path / "out").total_bytes == 500_000

    def test_bytes_are_counted_while_they_come_not_believed(self, tmp_path):
        file = archive(*((f"f{n}", b"abc" * 1000) for n in range(10)), method=zipfile.ZIP_STORED)
        with pytest.raises(PackageError, match=r"more than 10000 bytes.*'f3'"):
            unpack(file, tmp_path / "out", UnpackLimits(total_bytes=10_000))
        with pytest.raises(PackageError, match=r"'f0'.*2000 bytes, the limit per file"):
            unpack(file, tmp_path / "out2", UnpackLimits(file_bytes=2000))

    def test_overlapping_entries_share_one_ratio(self, tmp_path):
        # Many names in the table of contents, all pointing at the same packed megabyte (Fifield's zip bomb).
        body = archive(("a", b"ab" * 600_000), method=zipfile.ZIP_DEFLATED).getvalue()
        start = body.index(b"PK\x01\x02")
        end = body.rindex(b"PK\x05\x06")
        entry = body[start:end]
        table = entry + b"".join(
            entry[:28] + struct.pack("<H", 2) + entry[30:46] + b"a%d" % n + entry[47:] for n in range(10)
        )
        tail = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 11, 11, len(table), start, 0)
        with pytest.raises(PackageError):
            unpack(io.BytesIO(body[:start] + table + tail), tmp_path / "out")
        assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) < 3_000_000

    def test_nested_archives_stay_packed(self, tmp_path):
        unpack(archive(("inner.zip", archive(("x", b"y")).getvalue())), tmp_path / "out")
        assert (tmp_path / "out/inner.zip").is_file()

    def test_encrypted_and_strangely_packed_entries_are_refused(self, tmp_path):
        whole = bytearray(archive(("a", b"x" * 50)).getvalue())
        at = whole.index(b"PK\x01\x02")
        struct.pack_into("<H", whole, at + 8, 1)
        with pytest.raises(PackageError, match="encrypted"):
            unpack(io.BytesIO(bytes(whole)), tmp_path / "out")
        with pytest.raises(PackageError, match="other than deflate"):
            unpack(archive(("a", b"x" * 50), method=zipfile.ZIP_LZMA), tmp_path / "out2")

    @given(st.binary(max_size=400))
    @settings(max_examples=50, deadline=None)
    def test_noise_is_refused_in_our_words(self, noise):
        with tempfile.TemporaryDirectory() as folder, pytest.raises(PackageError):
            unpack(io.BytesIO(noise), Path(folder))

    def test_a_broken_archive_is_refused_in_our_words(self, tmp_path):
        whole = bytearray(archive(("a", bytes(range(256)) * 40)).getvalue())
        whole[60:80] = b"\xff" * 20
        with pytest.raises(PackageError, match="not a sound zip"):
            unpack(io.BytesIO(bytes(whole)), tmp_path / "out")


class TestReadConfig:
    def test_both_spellings_name_the_same(self):
        old = read_config('build:\n  python_version: "3.11"\npredict: "predict.py:Predictor"\n')
        new = read_config('build:\n  python_version: "3.11"\nrun: "predict.py:Predictor"\n')
        assert old == new
        assert old.reference == "predict.py:Predictor"
        assert old.python_version == "3.11"

    def test_everything_that_can_be_said(self):
        config = read_config(
            "build:\n  gpu: true\n  cuda: '12.1'\n  python_version: '3.12.4'\n  system_packages: [ffmpeg]\n"
            "  python_packages:\n    - numpy==2.2.1\n  run:\n    - echo hi\n    - command: echo ho\n"
            "predict: src/predict.py:Predictor\ntrain: train.py:train\nconcurrency:\n  max: 4\n"
        )
        assert (config.gpu, config.cuda, config.python_version) == (True, "12.1", "3.12")
        assert config.system_packages == ("ffmpeg",)
        assert config.run_commands == ("echo hi", "echo ho")
        assert [one.name for one in config.packages] == ["numpy"]
        assert (config.concurrency, config.train) == (4, "train.py:train")
        assert (config.training.path, config.training.name) == ("train.py", "train")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "line 1"),
            ("- a\n", "line 1: must hold keys"),
            ("build: {}\n", "predict is missing"),
            ("predict: predict.py:P\nbuilt:\n", "line 2: built is not known"),
            ("predict: predict.py:P\nbuild:\n  pyton_version: '3.11'\n", "line 3: build.pyton_version is not known"),
            ("predict: predict.py:P\npredict: b.py:P\n", "line 2: predict is written twice"),
            ("predict: predict.py:P\nrun: predict.py:P\n", "line 2: run and predict"),
            ("predict: predict\n", "line 1: predict must look like"),
            ("predict: ../predict.py:P\n", "line 1: predict must look like"),
            ("predict: /predict.py:P\n", "line 1: predict must look like"),
            ("predict: p.py:P\ntrain: train\n", "line 2: train must look like"),
            (
                "chat:\n  server: s.py\n  context_length: 9\n  prompt: '1'\n  completion: '1'\ntrain: t.py:t\n",
                "line 6: train",
            ),
            ("predict: p.py:P\nbuild:\n  python_version: 3.10\n", None),
            ("predict: p.py:P\nbuild:\n  python_version: 3.1\n", "quotes"),
            ("predict: p.py:P\nbuild:\n  python_version: '3.9'\n", "line 3: build.python_version must be one of"),
            ("predict: p.py:P\nbuild:\n  gpu: maybe\n", "line 3: build.gpu must be true or false"),
            ("predict: p.py:P\nbuild:\n  python_requirements: ../r.txt\n", "line 3: build.python_requirements"),
            ("predict: p.py:P\nbuild:\n  system_packages: ['a; rm']\n", "line 3: 'a; rm' is not the name"),
            ("predict: p.py:P\nbuild:\n  python_packages: ['--index-url x']\n", "line 3: the option"),
            ("predict: p.py:P\nbuild:\n  python_packages: numpy\n", "line 3: build.python_packages must be a list"),
            ("predict: p.py:P\nconcurrency: 4\n", "line 2: concurrency must hold keys"),
            (
                "predict: p.py:P\nbuild:\n  gpu: true\n  gpu_memory: 20\n",
                "line 4: build.gpu_memory must be",
            ),
            ("predict: p.py:P\nbuild:\n  gpu_memory: 20GB\n", "line 3: build.gpu_memory needs gpu: true"),
            ("predict: p.py:P\nconcurrency:\n  max: 0\n", "line 3: concurrency.max"),
            ("predict: [\n", "line 2: not valid YAML"),
            ("a: &a [x]\nb: [*a, *a]\n", "line 2: aliases"),
            ("predict: " + "x" * 70_000, "65536 characters"),
            ("[" * 60_000, "nested deeper than 10 levels"),
        ],
    )
    def test_complaints_name_line_and_key(self, text, words):
        if words is None:
            assert read_config(text).python_version == "3.10"
            return
        with pytest.raises(PackageError, match=words):
            read_config(text)


class TestReadRequirements:
    def test_plain_requirements_with_comments_and_hashes(self):
        text = (
            "\ufeff# comment\nnumpy==2.2.1  # why\n\nopencv-python-headless>=4.10,<5\n"
            "pillow[webp]~=11.0 ; python_version >= '3.10'\n"
            "six==1.17.0 \\\n  --hash=sha256:" + "a" * 64 + "\n"
        )
        found = read_requirements(text=text, name="requirements.txt")
        assert [one.name for one in found] == ["numpy", "opencv-python-headless", "pillow", "six"]
        assert found[3].origin == "requirements.txt line 6"

    def test_a_pinned_line_may_ask_to_be_installed_without_what_it_asks_for(self):
        text = "numpy==2.2.1\nmodel-in-a-wheel[x] == 0.1.0   --no-deps  # 5 GB less\n"
        one, other = read_requirements(text=text, name="requirements.txt")
        assert (one.alone, other.alone) == (False, True)
        assert (other.text, other.written) == ("model-in-a-wheel[x] == 0.1.0", "model-in-a-wheel[x] == 0.1.0 --no-deps")

    @pytest.mark.parametrize(
        "line", ["x --no-deps", "x>=1 --no-deps", "x==1.* --no-deps", "x==1,>0 --no-deps", "x==1 --no-deps --no-deps"]
    )
    def test_a_line_without_what_it_asks_for_needs_an_exact_version(self, line):
        with pytest.raises(PackageError, match=r"r\.txt line 1: .*(exact version|not a requirement)"):
            read_requirements(text=line, name="r.txt")

    @pytest.mark.parametrize(
        "line",
        [
            "--no-deps",
            "--no-deps numpy==1",
            "--index-url http://10.0.0.1/simple",
            "--extra-index-url=http://x",
            "-r /etc/passwd",
            "-e git+https://example.com/x",
            "-f /tmp",
            "x @ file:///etc/passwd",
            "https://example.com/x.whl",
            "./local",
            "/abs/x.whl",
            "x.whl",
            "numpy==1 --global-option=x",
            "numpy==1 --hash=md5:abc",
            "$(id)",
            "cog==0.16.0",
        ],
    )
    def test_options_addresses_and_paths_are_refused_with_their_line(self, line):
        with pytest.raises(PackageError, match=r"requirements\.txt line 2"):
            read_requirements(text=f"numpy==2.2.1\n{line}\n", name="requirements.txt")


class TestDigest:
    def test_equal_contents_are_equal_and_any_change_shows(self, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name / "sub").mkdir(parents=True)
            (tmp_path / name / "sub/a").write_text("x")
            (tmp_path / name / "b").write_text("y")
        first = digest(tmp_path / "one", extra=["cog 1"])
        assert len(first) == 64
        assert first == digest(tmp_path / "two", extra=["cog 1"])
        assert first != digest(tmp_path / "two", extra=["cog 2"])
        (tmp_path / "two/.cog").mkdir()
        (tmp_path / "two/.cog/openapi_schema.json").write_text("{}")
        assert first == digest(tmp_path / "two", extra=["cog 1"])
        (tmp_path / "two/b").rename(tmp_path / "two/c")
        assert first != digest(tmp_path / "two", extra=["cog 1"])

    def test_bytes_cannot_move_between_name_and_content(self, tmp_path):
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        (tmp_path / "one/ab").write_text("c")
        (tmp_path / "two/a").write_text("bc")
        assert digest(tmp_path / "one") != digest(tmp_path / "two")


CHAT = 'chat:\n  server: server.py\n  context_length: 4096\n  prompt: "0.10"\n  completion: "0.4"\n'


def test_a_server_of_chats_says_its_tokens_and_prices():
    config = read_config(CHAT)
    assert (config.path, config.reference) == ("server.py", "server.py")
    assert config.chat is not None
    assert (config.chat.context_length, config.chat.max_output) == (4096, 4096)
    assert (config.chat.prompt_nano, config.chat.completion_nano) == (100_000_000, 400_000_000)


BY_SECOND = "chat: {server: server.py, context_length: 4096, charge: second}\n"


def test_a_server_of_chats_may_be_charged_by_the_second_of_its_hardware():
    chat = read_config(BY_SECOND).chat
    assert chat is not None
    assert (chat.by_second, chat.prompt_nano, chat.completion_nano) == (True, 0, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BY_SECOND.replace("second", "hour"), "line 1: chat.charge must be token or second"),
        (CHAT + "  charge: second\n", "line 4: chat.prompt prices tokens"),
        (CHAT + 'run: "predict.py:Runner"\n', "line 1: chat and run exclude each other"),
        (CHAT.replace("server.py", "../server.py"), "line 2: chat.server must be a Python file"),
        (CHAT.replace("  server: server.py\n", ""), "chat.server is missing"),
        (CHAT.replace("4096", "many"), "line 3: chat.context_length must be a number of tokens"),
        (CHAT.replace('"0.10"', "-1"), "line 4: chat.prompt must be dollars"),
        (CHAT.replace('  prompt: "0.10"\n', ""), "chat.prompt must be dollars"),
        (CHAT + "  gpu: true\n", "line 6: chat.gpu is not known here"),
        (CHAT + "gpu: true\n", "line 6: gpu is not known here. It belongs under build: as build.gpu."),
    ],
)
def test_a_server_of_chats_is_told_what_to_change(text, words):
    with pytest.raises(PackageError, match=re.escape(words)):
        read_config(text)
