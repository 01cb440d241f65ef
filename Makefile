# make run        the program: a recording at the first start, then what there is to compare
# make test       the tests
# make screens    draw the pictures of tests/screens anew
# make versions   tests with other Pythons and other versions of the packages (WHOLE=1: all tests;
#                 UNTIL=SECONDS, since 1970: as many of them as there is time for)
# make campaigns  faults and hostile input by the thousand
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint $(VENV)/constraints.txt
# PyTorch's own index has builds for the CPU of 200 MB, where others take 2.8 GB for CUDA. It is asked
# where no NVIDIA device is seen; `TORCH_INDEX=URL` names another one, `TORCH_INDEX=` pip's usual one.
# `TORCH=installed` takes the torch that PYTHON has, with all other packages that it has.
TORCH_INDEX ?= $(if $(wildcard /dev/nvidiactl /dev/dxg),,https://download.pytorch.org/whl/cpu)
TORCH ?= fetched
# Four processes of tests, also on two cores: half of the time a test waits for a program that
# it started. Each takes up to a gigabyte. Those at rest take tests over from the others.
PARALLEL := --numprocesses 4 --dist worksteal
# Each file of slow tests in one process: what a file's tests share takes longest there, and each
# process may take gigabytes.
APART := --numprocesses 2 --dist loadscope

# What is in an environment is found by the folder that it was made in.
MOVED := $(if $(wildcard $(VENV)/.ready),$(shell head -n 2 $(BIN)/duibi | grep -qF '$(abspath $(BIN))/' || echo moved))

.PHONY: run test slow versions screens campaigns check check-kernels dist format clean moved
.DELETE_ON_ERROR:

run: $(VENV)/.ready
	$(BIN)/duibi

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

slow: $(VENV)/.ready-dev $(VENV)/.peers
	$(BIN)/python -m pytest $(APART) -m slow --timeout 900

# The lowest and the newest packages, with every Python that is at hand.
versions: $(VENV)/.ready-dev
	$(INSTALL) uv
	$(BIN)/python -m tests.support.versions $(VENV)/versions $(if $(WHOLE),--whole,$(if $(UNTIL),--until $(UNTIL)))

screens: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.pictures

# Faults, damage and hostile input by the thousand: an hour or so. Two need what is not
# installed by this file (pip install '.[fuzz]'; node and npm).
campaigns: $(VENV)/.ready-dev
	$(BIN)/python -m tests.campaigns.session_faults
	$(BIN)/python -m tests.campaigns.worker_faults --times 5
	$(BIN)/python -m tests.campaigns.fuzz_sessions --runs 20000
	$(BIN)/python -m tests.campaigns.endpoints
	@if test -d $(VENV)/peers/xllamacpp; then $(BIN)/python -m tests.campaigns.cluster; \
	else echo "left out: cluster, as make slow has not installed its servers"; fi
	$(BIN)/python -m tests.campaigns.held_load
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; \
	then $(BIN)/python -m tests.campaigns.fuzz_atheris --runs 20000; \
	else echo "left out: fuzz_atheris, as atheris is not installed"; fi
	@if command -v node >/dev/null && command -v npm >/dev/null; \
	then $(BIN)/python -m tests.campaigns.cast_player; \
	else echo "left out: cast_player, as node and npm are not installed"; fi

check: $(VENV)/.ready-dev check-kernels
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin tui
	$(BIN)/lint-imports

# Every instruction set, whatever this CPU has; with clang too where it is installed.
check-kernels: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.check_kernels

# The source, and two wheels: one with the kernels compiled for this kind of machine, one for all
# others. The same source gives the same bytes: what is in them is as old as the commit.
dist: export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)
dist: $(VENV)/.ready
	rm -rf dist
	$(INSTALL) hatchling
	DUIBI_PREBUILT=0 $(BIN)/python -m hatchling build -d dist -t wheel
	$(BIN)/python -m hatchling build -d dist -t sdist -t wheel
	ls dist

format: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) dist

moved:
	@echo "the folder was moved or copied: its environment is made again"
	rm -rf $(VENV)

# torch goes first and alone: asked for by another package without the pin, the newest
# build with several gigabytes of CUDA libraries would be taken.
$(VENV)/.ready: pyproject.toml constraints.txt $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "duibi needs Python 3.11 or newer: make run PYTHON=/path/to/python3.11"; exit 2; }
ifeq ($(TORCH),installed)
	@$(PYTHON) -c 'import importlib.metadata as m; v = m.version("torch").split("."); \
	  print("torch", ".".join(v), "of $(PYTHON)"); raise SystemExit((int(v[0]), int(v[1])) < (2, 10))' \
	  || { echo "$(PYTHON) has no torch of 2.10 or newer: make run without TORCH=installed"; exit 2; }
	$(PYTHON) -m venv --system-site-packages $(VENV)
	grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
else
	$(PYTHON) -m venv $(VENV)
	cp constraints.txt $(VENV)/constraints.txt
	@if [ -n "$(TORCH_INDEX)" ] && $(PIP) index versions torch --index-url "$(TORCH_INDEX)" \
	  --retries 0 --timeout 10 >/dev/null 2>&1; \
	then echo "torch comes from $(TORCH_INDEX)"; \
	  $(INSTALL) --no-deps --index-url "$(TORCH_INDEX)" torch || $(INSTALL) torch; \
	else echo "torch comes from the index that pip is set to"; \
	  $(INSTALL) torch; fi
endif
	$(INSTALL) --editable '.[local]'
	@$(INSTALL) --only-binary :all: --editable '.[gguf]' \
	  || echo "no llama.cpp for this machine: GGUF files are converted before they are computed"
	@$(INSTALL) --only-binary :all: --editable '.[docx]' \
	  || echo "no Word documents and no PNG on this machine: reports are written as HTML and Markdown"
	$(BIN)/python -m compileall -q tui
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(INSTALL) --editable '.[dev]'
	touch $@

# The packages of the HTTP server that the slow tests talk to go apart: transformers behaves
# otherwise where one of them (accelerate) is installed.
$(VENV)/.peers: tests/peers.txt | $(VENV)/.ready-dev
	$(PIP) install --quiet --upgrade --no-deps --target $(VENV)/peers --requirement tests/peers.txt
	touch $@
