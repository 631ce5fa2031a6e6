"""Score files against scikit-learn, and every way in which a file can be wrong."""

import gzip
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from scipy import stats
from sklearn import metrics

from siamese_mnist import UsageError, evaluation
from siamese_mnist.evaluation import intervals
from siamese_mnist.evaluation.scored import evaluate_file, replicates_for
from siamese_mnist.evaluation.scorefile import ScoreFileError, read_scorefile
from tests.evaluation.test_intervals import difficult_images, random_pairs

EXACT = 1e-9
HEADER = "left,right,same,score\n"
GOOD = HEADER + "a,b,1,0.5\na,c,0,-1.5\nb,c,0,1e-3\n"


def scored(pairs=2000, images=300, seed=0):
    """Columns of a score file; identifiers as numbers."""
    rng = np.random.default_rng(seed)
    left, right = np.divmod(rng.permutation(images**2)[:pairs], images)
    same = rng.random(pairs) < 0.4
    return {"left": left, "right": right, "same": same, "score": (rng.normal(size=pairs) + 1.5 * same).round(2)}


def write_csv(path, columns, names=str):
    table = dict(columns) | {side: [names(each) for each in columns[side]] for side in ("left", "right")}
    table["same"] = columns["same"].astype(int)
    csv.write_csv(pa.table(table), path)
    return path


@pytest.fixture
def columns():
    return scored()


@pytest.fixture
def file(tmp_path, columns):
    return write_csv(tmp_path / "scores.csv", columns)


def same_partition(one, other):
    """Whether two numberings tell the same images apart."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.mark.parametrize("kind", ["csv", "text", "gzip", "integers", "strings", "dictionary", "booleans"])
def test_every_kind_of_file_holds_the_same_rows(tmp_path, columns, kind):
    path = tmp_path / "scores.parquet"
    if kind in ("csv", "text", "gzip"):
        path = write_csv(tmp_path / "scores.csv", columns, "{}é.png".format if kind == "text" else str)
        if kind == "gzip":
            packed = tmp_path / "scores.csv.gz"
            packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path = packed
    else:
        table = dict(columns) | {"extra": ["x"] * columns["same"].size}
        if kind in ("strings", "dictionary"):
            table |= {side: pa.array([f"i{each}" for each in columns[side]]) for side in ("left", "right")}
        if kind == "dictionary":
            table |= {side: table[side].dictionary_encode() for side in ("left", "right")}
        if kind == "integers":
            table |= {"same": columns["same"].astype(np.int8), "left": columns["left"].astype(np.int16)}
        parquet.write_table(pa.table(table), path, row_group_size=300)
    found = read_scorefile(path)
    np.testing.assert_array_equal(found.same, columns["same"])
    np.testing.assert_array_equal(found.score, columns["score"])
    assert same_partition(np.append(*found[:2]), np.append(columns["left"], columns["right"]))
    assert np.unique(found[:2]).tolist() == list(range(np.max(found[:2]) + 1))


def test_figures_are_those_of_scikit_learn(file, tmp_path, columns):
    other = scored(seed=1)
    other |= {side: other[side] + 1000 for side in ("left", "right")}
    found = evaluate_file(file, calibration=write_csv(tmp_path / "other.csv", other))
    same, score = columns["same"], columns["score"]
    decision = evaluation.fit_decision(other["score"], other["same"])
    answer, probability = decision.predict(score), decision.probability(score)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(same, answer)
    for row, name in enumerate(("different", "same")):
        figures = [found[name][each] for each in ("precision", "recall", "f1")]
        assert figures == pytest.approx([precision[row], recall[row], f1[row]], abs=EXACT)
    assert found["confusion_matrix"] == metrics.confusion_matrix(same, answer).tolist()
    expected = {
        "accuracy": metrics.accuracy_score(same, answer),
        "roc_auc": metrics.roc_auc_score(same, score),
        "average_precision": metrics.average_precision_score(same, score),
        "log_loss": metrics.log_loss(same, probability),
        "brier_score": metrics.brier_score_loss(same, probability),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=EXACT), name
        low, high = found[f"{name}_interval"]
        assert low < value < high
    assert found["threshold"] == decision.threshold
    assert found["threshold_fitted_on_test"] is False
    assert found["images"] == np.unique([columns["left"], columns["right"]]).size
    assert found["true_match_rate"].keys() == {"0.01", "0.01_interval", "0.001", "0.001_interval"}


def test_accuracy_interval_is_the_dependence_aware_one(file, columns):
    found = evaluate_file(file, threshold=0.7)
    correct = (columns["score"] >= 0.7) == columns["same"]
    expected = intervals.accuracy_interval(correct, columns["left"], columns["right"])
    assert found["accuracy_interval"] == pytest.approx(list(expected), abs=EXACT)


def test_what_needs_a_threshold_or_a_probability_is_left_out(file):
    free = evaluate_file(file)
    given = evaluate_file(file, threshold=0.7)
    fitted = evaluate_file(file, fit_on_test=True)
    assert free["threshold"] is None
    ranking = {"roc_auc", "average_precision", "equal_error_rate", "true_match_rate", "min_cllr"}
    about = {"file", "threshold", "calibration", "threshold_fitted_on_test", "pairs", "images"}
    about |= {"groups", "calibration_overlap"}
    assert {name for name in free if not name.endswith("_interval")} == ranking | about
    assert given.keys() - free.keys() == {"accuracy", "accuracy_interval", "same", "different", "confusion_matrix"}
    assert {"log_loss", "brier_score", "expected_calibration_error"} <= fitted.keys() - given.keys()
    assert [each["threshold_fitted_on_test"] for each in (free, given, fitted)] == [False, False, True]
    assert fitted["threshold"] == evaluation.fit_threshold(*read_scorefile(file)[3:1:-1])
    assert free["roc_auc_interval"] == fitted["roc_auc_interval"]


def swapped(columns):
    return columns | {"left": columns["right"], "right": columns["left"]}


COPIES = {
    "as it is": lambda columns: columns,
    "reversed": lambda columns: {name: column[::-1] for name, column in columns.items()},
    "swapped": swapped,
    "a row less": lambda columns: {name: column[:-1] for name, column in columns.items()},
    "half": lambda columns: {name: column[::2] for name, column in columns.items()},
    "other scores": lambda columns: columns | {"score": columns["score"] + 1},
    "a row more": lambda columns: {
        name: np.append(column, more)
        for (name, column), more in zip(columns.items(), (10**6, 10**6 + 1, True, 0.5), strict=True)
    },
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_threshold_is_not_fitted_on_the_pairs_it_is_used_on(file, columns, tmp_path, copy):
    path = write_csv(tmp_path / "copy.csv", copy(columns))
    with pytest.raises(UsageError, match="of the pairs that are evaluated; fit on other pairs"):
        evaluate_file(file, calibration=path)


def test_overlap_is_counted_and_marked(tmp_path):
    columns = {"left": np.arange(100), "right": np.arange(100) + 100, "same": np.arange(100) % 2 == 0}
    columns["score"] = columns["same"] + np.arange(100) / 50
    other = swapped(columns)
    other = {name: column.copy() for name, column in other.items()}
    other["left"][3:] += 1000
    other["right"][5:] += 1000
    files = [write_csv(tmp_path / f"{number}.csv", each) for number, each in enumerate((columns, other))]
    found = evaluate_file(files[0], calibration=files[1])
    assert found["calibration_overlap"] == {"pairs": 3, "images": 8}
    assert found["threshold_fitted_on_test"]
    other["left"][:3] += 1000
    free = evaluate_file(files[0], calibration=write_csv(files[1], other))
    assert free["calibration_overlap"] == {"pairs": 0, "images": 5}
    assert not free["threshold_fitted_on_test"]


def grouped(rng, images, groups, pairs):
    """Pairs of images whose groups make them alike: right or wrong by the groups' difficulty."""
    left, right = random_pairs(rng, images, pairs)
    group = rng.integers(0, groups, images)
    spoiled = difficult_images(rng, groups, 0.6)[group]
    correct = rng.random(pairs) < (1 - spoiled[left]) * (1 - spoiled[right])
    return left, right, group, correct


def test_groups_make_pairs_of_other_images_dependent(tmp_path):
    rng = np.random.default_rng(5)
    left, right, group, correct = grouped(rng, 400, 60, 800)
    same = rng.random(800) < 0.5
    columns = {"left": left, "right": right, "same": same, "score": np.where(correct == same, 1.0, 0.0)}
    plain = evaluate_file(write_csv(tmp_path / "plain.csv", columns), threshold=0.5)
    columns |= {"left_group": group[left], "right_group": group[right]}
    found = evaluate_file(write_csv(tmp_path / "grouped.csv", columns), threshold=0.5)
    parquet.write_table(pa.table(columns), tmp_path / "grouped.parquet")
    again = evaluate_file(tmp_path / "grouped.parquet", threshold=0.5)
    assert again | {"file": ""} == found | {"file": ""}
    assert (plain["groups"], found["groups"]) == (None, 60)
    expected = intervals.accuracy_interval(correct, group[left], group[right])
    assert found["accuracy_interval"] == pytest.approx(list(expected), abs=EXACT)
    assert np.diff(found["accuracy_interval"]) > 1.2 * np.diff(plain["accuracy_interval"])
    assert found["accuracy"] == plain["accuracy"]


def test_intervals_over_groups_cover():
    rng = np.random.default_rng(6)
    truth = (1 - 0.2 * 0.6) ** 2
    by_groups = by_images = 0
    for _ in range(1000):
        left, right, group, correct = grouped(rng, 400, 150, 600)
        low, high = intervals.accuracy_interval(correct, group[left], group[right])
        by_groups += low <= truth <= high
        low, high = intervals.accuracy_interval(correct, left, right)
        by_images += low <= truth <= high
    assert 930 <= by_groups <= 970
    assert by_images < 930


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left,right,same,score,left_group\na,b,1,1,x\n", "one of the columns left_group and right_group"),
        (
            "left,right,same,score,left_group,right_group\na,b,1,1,x,y\nb,c,0,0,x,z\n",
            "row 1, column right_group: image 'b' has another group in another row",
        ),
        (
            "left,right,same,score,left_group,right_group\na,b,1,1,x,\nb,c,0,0,y,z\n",
            "row 1, column right_group: it has",
        ),
    ],
)
def test_bad_groups(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ScoreFileError, match=message):
        read_scorefile(tmp_path / "bad.csv")


@pytest.mark.parametrize("options", [{"threshold": 1.0, "fit_on_test": True}, {"threshold": 1.0, "calibration": "x"}])
def test_options_that_exclude_each_other(file, options):
    with pytest.raises(UsageError, match="exclude each other"):
        evaluate_file(file, **options)


def test_threshold_must_be_finite(file):
    with pytest.raises(UsageError, match="threshold must be finite, got nan"):
        evaluate_file(file, threshold=float("nan"))


def test_scores_that_separate_have_intervals(tmp_path):
    """400 disjoint pairs without a mistake: the bounds are about the rule of three, not all of [0, 1]."""
    same = np.arange(400) % 2 == 0
    columns = {"left": np.arange(400), "right": np.arange(400, 800), "same": same, "score": same + np.arange(400) / 1e4}
    found = evaluate_file(write_csv(tmp_path / "scores.csv", columns))
    low, high = found["roc_auc_interval"]
    assert high == 1
    assert low == pytest.approx(stats.binomtest(200, 200).proportion_ci(method="wilson").low, abs=2e-3)


BAD = {
    "empty file": ("", "is empty; give the header left,right,same,score"),
    "header only": (HEADER, "has no rows"),
    "no column": (
        GOOD.replace("same", "label", 1),
        "has no column 'same' in its header.*has 'left, right, label, score'",
    ),
    "two columns": ("left,right,same,score,score\na,b,1,2,3\n", "2 columns 'score' in its header"),
    "no score": (GOOD + "a,d,1,\n", "row 4, column score: '' is not a number"),
    "score of letters": (GOOD + "a,d,1,high\n", "row 4, column score: 'high' is not a number"),
    "score NaN": (GOOD + "a,d,1,NaN\n", "row 4, column score: .*nan.* is not a "),
    "score infinite": (GOOD + "a,d,1,inf\n", "row 4, column score: inf is not a finite number"),
    "label 2": (GOOD + "a,d,2,0.5\n", "row 4, column same: '2' is neither 0 nor 1"),
    "no label": (GOOD + "a,d,,0.5\n", "row 4, column same: '' is neither 0 nor 1"),
    "label 0.5": (GOOD + "a,d,0.5,0.5\n", "row 4, column same: '0.5' is neither 0 nor 1"),
    "no identifier": (GOOD + "a,,1,0.5\n", "row 4, column right: it has no value"),
    "short row": (GOOD + "a,d,1\n", "row 4: 3 columns, but the header has 4"),
    "long row": (GOOD + "a,d,1,2,3\n", "row 4: 5 columns, but the header has 4"),
    "one class": (HEADER + "a,b,1,0.5\na,c,1,0.2\n", "rows 1 to 2, column same: all are 1"),
    "repeated": (GOOD + "a,c,0,3\n", "row 4, column left, right: the pair of row 2 again; 1 rows repeat"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_csv(tmp_path, name):
    text, message = BAD[name]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ScoreFileError, match=message) as caught:
        read_scorefile(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.encode() + b"a,d\xff,1,0.5\n", r"row 4, column right: 'd\\udcff' is not UTF-8"),
        (GOOD.encode("utf-16"), r"header, column '\\udcff.*' ?: it is not UTF-8"),
        (b"\x00\x01" * 100_000, "has no column 'left'|cannot read"),
    ],
)
def test_other_bytes_than_utf_8(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ScoreFileError, match=message) as caught:
        read_scorefile(path)
    str(caught.value).encode()  # it can be printed


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.csv.gz", b"left,right", "cannot read .*bad.csv.gz"),
        ("bad.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-12], "cannot read .*bad.csv.gz"),
        ("bad.parquet", GOOD.encode(), "cannot read .*bad.parquet"),
        ("bad.txt", GOOD.encode(), r"name it .csv, .csv.gz or .parquet"),
    ],
)
def test_not_that_kind_of_file(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ScoreFileError, match=message):
        read_scorefile(path)


@pytest.mark.parametrize("name", ["none.csv", "none.csv.gz", "none.parquet"])
def test_missing_file(tmp_path, name):
    with pytest.raises(ScoreFileError, match=r"cannot read .*No such file or directory"):
        read_scorefile(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": pa.array([1.0, None, 2.0])}, "row 2, column score: it has no value"),
        ({"left": pa.array([1, 2, None])}, "row 3, column left: it has no value"),
        ({"left": pa.array([1.0, 2.0, 3.0])}, "column left: it holds double"),
        ({"left": pa.array(["a", "b", "c"])}, "one holds text, the other numbers"),
        ({"same": pa.array([0, 3, 1])}, "row 2, column same: '3' is neither 0 nor 1"),
        ({"same": pa.array(["0", "1", "1"])}, "row 1, column same: '0' is neither 0 nor 1"),
        ({"score": pa.array(["1", "2", "3"])}, "column score: it holds string, not numbers"),
        ({"score": pa.array([1.0, float("nan"), 2.0])}, "row 2, column score: nan is not a finite number"),
    ],
)
def test_malformed_parquet(tmp_path, changes, message):
    table = {"left": [1, 2, 3], "right": [4, 5, 6], "same": [0, 1, 1], "score": [0.5, 1.0, 2.0]} | changes
    parquet.write_table(pa.table(table), tmp_path / "bad.parquet")
    with pytest.raises(ScoreFileError, match=message):
        read_scorefile(tmp_path / "bad.parquet")


def test_a_huge_line_is_refused_before_it_is_held(tmp_path):
    """A small archive can hold gigabytes."""
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD.encode() + b"a,d,1,")
        for _ in range(64):
            file.write(b"5" * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ScoreFileError, match="line 5: longer than 262,144 characters"):
            read_scorefile(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_million_columns(tmp_path):
    (tmp_path / "wide.csv").write_text(",".join(map(str, range(1_000_000))) + "\n")
    with pytest.raises(ScoreFileError, match="line 1: longer than 262,144 characters"):
        read_scorefile(tmp_path / "wide.csv")


def test_the_first_fault_is_told_though_a_later_line_is_too_long(tmp_path):
    (tmp_path / "bad.csv").write_text(GOOD + "a,d,2,1\n" + "x" * 1_000_000)
    with pytest.raises(ScoreFileError, match="row 4, column same: '2' is neither 0 nor 1"):
        read_scorefile(tmp_path / "bad.csv")


@pytest.mark.parametrize("number", ["1_000", "\u0661"])
def test_numbers_are_plain(tmp_path, number):
    (tmp_path / "bad.csv").write_text(GOOD + f"a,d,1,{number}\n", encoding="utf-8")
    with pytest.raises(ScoreFileError, match=r"row 4, column score: .* is not a number"):
        read_scorefile(tmp_path / "bad.csv")


def test_suffixes_in_capitals_empty_lines_and_quoted_names(tmp_path):
    (tmp_path / "G.CSV").write_text(GOOD.replace("\n", "\r\n\r\n") + '"a,\n1",c,1,2\r\n')
    found = read_scorefile(tmp_path / "G.CSV")
    assert found.score.tolist() == [0.5, -1.5, 1e-3, 2.0]
    assert found.left.tolist() == [0, 0, 1, 2]
    assert found.right.tolist() == [1, 3, 3, 3]


def test_csv_needs_no_pyarrow_and_parquet_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "good.csv").write_text(GOOD)
    assert read_scorefile(tmp_path / "good.csv").score.size == 3
    with pytest.raises(ScoreFileError, match=r"without pyarrow; install `siamese-mnist\[parquet\]`"):
        read_scorefile(tmp_path / "good.parquet")


def test_a_pair_may_occur_both_ways_round(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(GOOD + "b,a,1,0.5\nd,d,1,1\n")
    assert read_scorefile(path).score.size == 5


def test_replicates_bound_the_work():
    assert [replicates_for(count) for count in (10, 1_000_000, 10_000_000, 10**9)] == [1000, 100, 10, 10]
