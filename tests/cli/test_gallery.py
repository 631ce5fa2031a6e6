"""`siamese-mnist enrol` and `identify`, as a stranger uses them: picture files in, names out."""

import csv
import io
import json

import pytest
from PIL import Image

import siamese_mnist as sm


@pytest.fixture(scope="module")
def pictures(small, tmp_path_factory):
    """Three digits, two pictures each by sub-folder, and one more picture of each."""
    place = tmp_path_factory.mktemp("pictures")
    for digit in range(3):
        rows = (small.train.labels == digit).nonzero().squeeze(1)[:3].tolist()
        names = [f"known/{digit}/{row}" for row in rows[:2]] + [f"new/{digit}"]
        for row, name in zip(rows, names, strict=True):
            file = place / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - small.train.images[row, 0].numpy()).resize((90, 90)).convert("RGB").save(file)
    return place


@pytest.fixture
def run(finished):
    return finished["siamese"].run_dir


@pytest.fixture
def gallery(command, pictures, run, tmp_path):
    path = tmp_path / "a.gallery"
    done = command("enrol", path, "--folder", pictures / "known", "--run", run)
    assert done.status == 0
    assert done.err.startswith("enrol: reading, 6 images in ")
    assert done.out.splitlines()[-1] == f"3 names, 6 examples in {path}"
    return path


def test_answers_are_those_of_the_verifier(command, gallery, pictures, run):
    done = command("identify", gallery, pictures / "new", "--json")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["image"] for answer in answers] == [str(pictures / "new" / f"{digit}.png") for digit in range(3)]
    verifier = sm.load(run)
    for answer in answers:
        assert len(answer["nearest"]) == 3
        near = answer["nearest"][0]
        score = verifier.score(verifier.read(answer["image"])[None], verifier.read(near["source"])[None])[0]
        assert near["score"] == answer["score"] == pytest.approx(float(score), abs=1e-4)
        assert answer["name"] == (near["name"] if answer["score"] >= answer["threshold"] else None)
        assert answer["run"] == run
        assert answer["false_positive_identification"]["limit"] == 0.1


def test_an_enrolled_picture_is_recognised(command, gallery, pictures):
    file = next((pictures / "known" / "1").iterdir())
    done = command("identify", gallery, file, "--max-fpir", "0.9")
    said, *lines = done.out.splitlines()
    assert said == "1"
    shown = dict(line.split("  ", 1) for line in lines)
    assert str(file) in shown["nearest"]
    assert "3 names of the gallery, each compared with all others" in shown["strangers"]


def test_an_operating_point_for_pairs(command, mistake, gallery, pictures, run):
    """The threshold is the pair's, the rate of strangers that of the gallery; a prior moves the probability alone."""
    file = pictures / "new" / "1.png"
    plain, at = (
        json.loads(command("identify", gallery, file, *words, "--json").out)
        for words in ([], ["--max-fmr", 0.05, "--prior", 0.9])
    )
    point = sm.load(run).operating_point(max_fmr=0.05)
    assert at["threshold"] == point.threshold
    assert (at["name"] is not None) == (at["score"] >= point.threshold)
    assert at["score"] == plain["score"]
    assert at["probability"] > plain["probability"]
    told = at["false_positive_identification"]
    assert told["limit"] is None
    assert told["low"] <= told["rate"] <= told["high"]
    message = mistake("identify", gallery, file, "--max-fmr", 0.1, "--max-fpir", 0.1)
    assert message == "--max-fpir, --max-fmr and costs each decide the threshold; give one of them"


def test_costs_decide_by_the_probability(command, mistake, gallery, pictures):
    """A name that is wrong costs ten times one that is withheld: it is given from ten to one."""
    file = pictures / "new" / "1.png"
    done = command("identify", gallery, file, "--cost-false-match", "10", "--prior", "0.8", "--json")
    answer = json.loads(done.out)
    assert answer["threshold_of"] == "probability"
    assert answer["threshold"] == pytest.approx(10 / 11)
    assert (answer["name"] is not None) == (answer["probability"] >= 10 / 11)
    assert 0 <= answer["false_positive_identification"]["rate"] <= 1
    shown = command("identify", gallery, file, "--cost-false-match", "10", "--prior", "0.8").out
    assert "0.9091 of the probability" in shown
    many = command("identify", gallery, pictures / "new", "--cost-false-match", "10")
    assert "a name is given from a probability of 0.9091 on" in many.err
    free = json.loads(command("identify", gallery, file, "--cost-false-non-match", "1e9", "--json").out)
    assert free["name"] == free["nearest"][0]["name"]
    message = mistake("identify", gallery, file, "--max-fpir", "0.2", "--cost-false-match", "2")
    assert message == "--max-fpir, --max-fmr and costs each decide the threshold; give one of them"
    assert mistake("identify", gallery, file, "--cost-false-match", "0").startswith("cost_false_match must be finite")
    assert "prior must be between 0 and 1, got 1" in mistake("identify", gallery, file, "--prior", 1)


def test_rows_of_many(command, gallery, pictures, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    done = command("identify", gallery, pictures / "new", tmp_path / "bad.png")
    assert done.status == 2
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["image"].rsplit("/")[-1] for row in rows] == ["0.png", "1.png", "2.png"]
    assert all(row["name"] in ("unknown", row["nearest"]) for row in rows)
    assert "of strangers, about" in done.err
    assert done.err.splitlines()[-1] == "siamese-mnist: 1 of 4 images have no answer; they are listed above"


def test_names_come_and_go(command, gallery, pictures, tmp_path, run):
    done = command("enrol", gallery, "seven or so", pictures / "new", "--json")
    listed = json.loads(done.out)
    assert {name: len(sources) for name, sources in listed["names"].items()} == {
        "0": 2,
        "1": 2,
        "2": 2,
        "seven or so": 3,
    }
    assert json.loads(command("enrol", gallery, "--json").out) == listed
    assert command("enrol", gallery, "--remove", "0").status == 0
    other = tmp_path / "b.gallery"
    command("enrol", other, "zero", pictures / "new" / "0.png", "--run", run)
    done = command("enrol", gallery, "--merge", other, "--json")
    assert list(json.loads(done.out)["names"]) == ["1", "2", "seven or so", "zero"]


def test_preprocessing_is_kept(command, pictures, run, tmp_path):
    """A gallery made with --no-normalise reads the pictures to identify so, too, and says it."""
    path = tmp_path / "plain.gallery"
    done = command("enrol", path, "a", pictures / "new" / "0.png", "--no-normalise", "--run", run)
    assert "preprocessing plain, where the run's own is mnist" in done.err
    done = command("identify", path, pictures / "new" / "0.png", "--json")
    assert "preprocessing plain" in done.err
    verifier = sm.load(run)
    image = verifier.read(pictures / "new" / "0.png", sm.open_gallery(path).preprocessing)[None]
    assert json.loads(done.out)["score"] == pytest.approx(float(verifier.score(image, image)[0]), abs=1e-4)


def test_mistakes(mistake, gallery, pictures, tmp_path, finished):
    before = gallery.read_bytes()
    new = tmp_path / "new.gallery"
    picture = pictures / "new" / "0.png"
    assert "name the run" in mistake("enrol", new, "a", picture)
    assert "no images of 'a'" in mistake("enrol", gallery, "a")
    assert "exclude each other" in mistake("enrol", gallery, "a", picture, "--remove", "0")
    assert "does not exist" in mistake("enrol", gallery, "a", tmp_path / "none.png")
    assert "must be some text" in mistake("enrol", gallery, "unknown", picture)
    assert "has no '9'" in mistake("enrol", gallery, "--remove", "9")
    assert "there is no gallery" in mistake("enrol", new)
    assert "there is no gallery" in mistake("identify", new, picture)
    assert "no image is named" in mistake("identify", gallery)
    assert "another model" in mistake("identify", gallery, picture, "--run", finished["baseline"].run_dir)
    assert "must be in (0, 1)" in mistake("identify", gallery, picture, "--max-fpir", "2")
    assert "is not a folder" in mistake("enrol", gallery, "--folder", picture)
    assert not new.exists()
    assert gallery.read_bytes() == before


def test_one_bad_picture_enrols_nothing(command, gallery, pictures, tmp_path):
    before = gallery.read_bytes()
    (tmp_path / "bad.png").write_text("no picture")
    done = command("enrol", gallery, "a", pictures / "new" / "0.png", tmp_path / "bad.png")
    assert done.status == 2
    assert "1 of 2 images cannot be used; they are listed above; nothing is enrolled" in done.err
    assert gallery.read_bytes() == before
