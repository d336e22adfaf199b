"""`pytest` runs the tests; `pytest --benchmark` runs `bench/` and prints its tables."""

from pathlib import Path

BENCH = Path(__file__).parent / "bench"


def pytest_addoption(parser):
    group = parser.getgroup("vitprobe")
    group.addoption("--benchmark", action="store_true", help="run bench/ (needs the extra [bench])")
    group.addoption(  # with "=": pytest takes a word of its own that is a file for what to run
        "--benchmark-results",
        metavar="FILE",
        help="also write the comparisons, the machine and the commit (=bench/results/cpu.json)",
    )


def pytest_configure(config):
    if not config.getoption("--benchmark"):
        return
    if config.args_source != config.ArgsSource.ARGS:  # no file was named
        config.args[:] = [str(BENCH)]
    # Columns that fit a screen, unless others are asked for.
    if config.pluginmanager.hasplugin("benchmark") and config.option.benchmark_columns is None:
        config.option.benchmark_columns = ["median", "iqr", "min", "rounds"]


def pytest_ignore_collect(collection_path, config):
    """bench/ is collected with `--benchmark`, or when it is named; not by `pytest .`"""
    if collection_path != BENCH or config.getoption("--benchmark"):
        return None
    named = (Path(arg.partition("::")[0]).resolve() for arg in config.args)
    return None if any(path.is_relative_to(BENCH) for path in named) else True
