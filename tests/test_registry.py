"""Named parts, and parts that other packages add."""

import pytest

import siamese_mnist as sm
from siamese_mnist.registry import Factory, Part, Registry, UnknownPartError, options_of, parse_options

GROUP = "siamese_mnist_tests.heads"


@pytest.fixture
def registry():
    filled = Registry("head", GROUP)
    filled.add("contrastive", make_contrastive)
    filled.add("triplet", make_triplet, summary="Three at a time.")
    return filled


def make_contrastive(feature_dim, *, required, margin=1.0, normalize=True):
    """Pulls and pushes.

    More words.
    """
    return feature_dim, required, margin, normalize


def make_triplet(feature_dim):
    return feature_dim


class Configured(Factory):
    """A factory object that knows its options better than its signature does."""

    def options(self):
        return {"alpha": 2}

    def __call__(self, **options):
        return options


def test_lookup(registry):
    assert registry["contrastive"] is make_contrastive
    assert registry.part("triplet") == Part("triplet", make_triplet, "built in", "Three at a time.")
    assert registry.part("contrastive").summary == "Pulls and pushes."
    assert list(registry) == ["contrastive", "triplet"]
    assert len(registry) == 2
    assert "triplet" in registry
    assert "tripled" not in registry
    assert [part.name for part in registry.parts()] == ["contrastive", "triplet"]


def test_register_returns_the_decorated_object(registry):
    @registry.register("centre")
    class Centre:
        """One centre a class."""

    assert registry["centre"] is Centre
    assert registry.part("centre").summary == "One centre a class."


def test_duplicate_name_raises_and_keeps_the_first(registry):
    with pytest.raises(ValueError, match=r"head 'triplet' is registered already, by built in"):
        registry.register("triplet")(object())
    assert registry["triplet"] is make_triplet


def test_unknown_name_suggests_and_lists(registry):
    with pytest.raises(UnknownPartError, match=r"did you mean 'contrastive'\?") as caught:
        registry["contrastiv"]
    message = str(caught.value)
    assert message.startswith("unknown head 'contrastiv';")
    assert "Known heads: contrastive, triplet." in message
    assert "\n" not in message


def test_unknown_name_without_likeness_suggests_nothing(registry):
    with pytest.raises(UnknownPartError) as caught:
        registry["qqqq"]
    assert str(caught.value) == "unknown head 'qqqq'. Known heads: contrastive, triplet."


def test_unknown_part_is_a_usage_error():
    assert issubclass(UnknownPartError, sm.UsageError)


def test_make(registry):
    made = registry.make("contrastive", {"margin": 0.5}, feature_dim=3, required="given")
    assert made == (3, "given", 0.5, True)


def test_make_refuses_an_unknown_option(registry):
    with pytest.raises(sm.UsageError) as caught:
        registry.make("contrastive", {"margn": 0.5}, feature_dim=3, required="given")
    assert str(caught.value) == (
        "head 'contrastive' has no option 'margn'; did you mean 'margin'? Its options: margin, normalize."
    )


def test_make_refuses_an_option_of_a_part_without_any(registry):
    with pytest.raises(sm.UsageError) as caught:
        registry.make("triplet", {"margin": 0.5}, feature_dim=3)
    assert str(caught.value) == "head 'triplet' has no option 'margin'. It has none."


@pytest.mark.parametrize("given", ["feature_dim", "required"])
def test_given_arguments_are_not_options(registry, given):
    with pytest.raises(sm.UsageError, match=f"no option '{given}'"):
        registry.make("contrastive", {given: 1}, feature_dim=3, required="given")


def test_options_of():
    assert options_of(make_contrastive) == {"margin": 1.0, "normalize": True}
    assert options_of(make_triplet) == {}
    assert options_of(Configured()) == {"alpha": 2}


@pytest.mark.parametrize(
    ("default", "text", "expected"),
    [
        (True, "false", False),
        (False, "Yes", True),
        (2, "3", 3),
        (2, "0.5", 0.5),
        (0.5, "-1e-3", -1e-3),
        ("max", "mean=2", "mean=2"),
        (None, "7", 7),
        (None, "none", None),
        (None, "mean", "mean"),
    ],
)
def test_option_texts_take_the_type_of_the_default(default, text, expected):
    parsed = parse_options([f"option={text}"], {"option": default})
    assert parsed == {"option": expected}
    assert type(parsed["option"]) is type(expected)


@pytest.mark.parametrize(
    ("default", "text", "message"),
    [
        (True, "option=2", "option option must be true or false, got '2'"),
        (2, "option=two", "option option must be a finite number, got 'two'"),
        (0.5, "option=inf", "option option must be a finite number, got 'inf'"),
        (0.5, "option=nan", "option option must be a finite number, got 'nan'"),
        (2, "option", "options are written name=value, got 'option'"),
        (2, "=3", "options are written name=value, got '=3'"),
    ],
)
def test_option_text_of_the_wrong_type(default, text, message):
    with pytest.raises(sm.UsageError) as caught:
        parse_options([text], {"option": default})
    assert str(caught.value) == message


def test_misspelt_option_text_reaches_the_registry(registry):
    options = parse_options(["margn=1"], options_of(make_contrastive))
    with pytest.raises(sm.UsageError, match="did you mean 'margin'"):
        registry.make("contrastive", options, feature_dim=3, required=1)


def install(folder, name, modules, entries):
    """What pip leaves of a package: its modules, and a .dist-info folder."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"[{GROUP}]", *(f"{entry} = {target}" for entry, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    install(
        tmp_path,
        "fake-plugin",
        {
            "fake_plugin_good": 'def make(*, scale=3):\n    """Made elsewhere."""\n    return scale\n',
            "fake_plugin_raises": 'raise RuntimeError("no GPU here\\nand more")\n',
            "fake_plugin_exits": "raise SystemExit(3)\n",
        },
        {
            "a-raises": "fake_plugin_raises:make",
            "b-exits": "fake_plugin_exits:make",
            "c-absent": "fake_plugin_nowhere:make",
            "d-nameless": "fake_plugin_good:unmade",
            "good": "fake_plugin_good:make",
            "triplet": "fake_plugin_good:make",
        },
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugins")
def test_plugins_add_parts(registry):
    assert list(registry) == ["contrastive", "triplet", "good"]
    assert registry.part("good").origin == "fake-plugin 1.2"
    assert registry.part("good").summary == "Made elsewhere."
    assert registry.make("good", {"scale": 4}) == 4


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_are_named_and_skipped(registry):
    assert "good" in registry
    assert registry.broken.keys() == {"a-raises", "b-exits", "c-absent", "d-nameless", "triplet"}
    assert registry.broken["a-raises"] == "fake-plugin 1.2: RuntimeError: no GPU here"
    assert "fake_plugin_nowhere" in registry.broken["c-absent"]
    assert "registered already" in registry.broken["triplet"]
    assert registry["triplet"] is make_triplet


@pytest.mark.usefixtures("plugins")
def test_asking_for_a_broken_plugin_says_why(registry):
    with pytest.raises(UnknownPartError, match=r"Not loaded: .*a-raises \(fake-plugin 1\.2: RuntimeError"):
        registry["a-raises"]


@pytest.mark.usefixtures("plugins")
def test_built_in_parts_do_not_wait_for_plugins(registry):
    assert registry["triplet"] is make_triplet
    assert registry.broken == {}


@pytest.mark.parametrize("name", ["BACKBONES", "HEADS", "LOSSES", "MINERS", "DATASETS", "RECIPES", "VARIANTS"])
def test_public_registries(name):
    registry = getattr(sm, name)
    assert registry.group == f"siamese_mnist.{name.lower()}"
    assert registry.broken == {}
    for part in registry.parts():
        assert part.summary, f"{name} {part.name} says nothing about itself"
        assert "\n" not in part.summary
