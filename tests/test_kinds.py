"""Names that are known before their parts are imported."""

import subprocess
import sys

import pytest

from siamese_mnist.registry import UnknownPartError
from siamese_mnist.settings.registries import REGISTRIES

PROGRAM = """
import contextlib, io, sys
from siamese_mnist_cli.main import main
for words in {commands}:
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines), contextlib.redirect_stdout(lines):
        try:
            main(words)
        except SystemExit as end:
            print(end.code, lines.getvalue().partition("\\n")[0], file=sys.__stdout__)
    assert not {unwanted} & sys.modules.keys(), words
"""


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
def test_declared_names_are_those_of_the_built_in_parts(registry):
    registered = [part.name for part in registry.parts() if part.value.__module__.startswith("siamese_mnist.")]
    if registry.home:
        assert registry.home.names.split() == registered
    for name in registered:
        registry.check_name(name)
    with pytest.raises(UnknownPartError) as early:
        registry.check_name("siamse")
    with pytest.raises(UnknownPartError) as late:
        registry["siamse"]
    assert str(early.value) == str(late.value)


def test_mistakes_in_names_do_not_wait_for_torch():
    mistakes = {
        "run siamse": "2 siamese-mnist: unknown variant 'siamse'; did you mean 'siamese'",
        "run siamese --loss contrastiv": "2 siamese-mnist: unknown loss 'contrastiv'; did you mean 'contrastive'",
        "run siamese --head distnce": "2 siamese-mnist: unknown head 'distnce'; did you mean 'distance'?",
        "run siamese:recipe=fst": "2 siamese-mnist: unknown recipe 'fst'; did you mean 'fast'?",
        "run siamese --dataset mnst": "2 siamese-mnist: unknown data set 'mnst'; did you mean 'mnist'",
        "run siamese --split grups": "2 siamese-mnist: unknown split 'grups'; did you mean 'groups'",
        "run siamese --schedule cosin": "2 siamese-mnist: unknown schedule 'cosin'; did you mean 'cosine'?",
        "compare baseline siamese:los=triplet": "2 siamese-mnist: unknown setting 'los'; did you mean 'loss'?",
        "compare baselin": "2 siamese-mnist: unknown variant 'baselin'; did you mean 'baseline'",
        "study siamse": "2 siamese-mnist: unknown variant 'siamse'; did you mean 'siamese'",
        "list losse": "2 siamese-mnist: unknown kind of part 'losse'; use one of variants",
        "list variants": "0 baseline ",
        "list recipes": "0 report ",
    }
    check_early(mistakes, {"torch", "numpy"})


def test_other_names_do_not_wait_for_torch(tmp_path):
    neither = "2 siamese-mnist: 'nope' is neither a run, nor a bundle, nor a variant"
    mistakes = {
        "compare baseline --engine slurm": "2 siamese-mnist: engine must be one of local, dask, ray, got 'slurm'",
        "compare baseline --sort acuracy": "2 siamese-mnist: cannot sort by 'acuracy'; use one of accuracy",
        "study baseline --engine slurm": "2 siamese-mnist: engine must be one of local, dask, ray, got 'slurm'",
        "predict nope a.png b.png": neither,
        "explain nope a.png b.png": neither,
        "stress nope": neither,
        "export nope": neither,
        "bundle nope out.zip": neither,
        f"predict siamese a.png b.png --runs-dir {tmp_path}": "2 siamese-mnist: no run of 'siamese' in",
        "list datasets": "0 mnist-tenth ",
        "list trackers": "0 tensorboard ",
    }
    check_early(mistakes, {"torch", "sklearn", "scipy"})


def check_early(answers, unwanted):
    """Runs commands in one process, which must not import what is unwanted, and checks how their first lines start."""
    program = PROGRAM.format(commands=[words.split() for words in answers], unwanted=unwanted)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    for line, start in zip(done.stdout.splitlines(), answers.values(), strict=True):
        assert line.startswith(start)
