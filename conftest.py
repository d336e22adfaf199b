"""`pytest` runs the tests; `pytest --benchmark` runs `bench/` and prints its tables."""


def pytest_addoption(parser):
    parser.addoption(
        "--benchmark", action="store_true", help="run bench/ (needs the extra [bench])"
    )


def pytest_configure(config):
    if config.getoption("--benchmark") and config.args == config.getini("testpaths"):
        config.args[:] = ["bench"]
