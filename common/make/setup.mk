# The environment, for the collection's Makefile and each model's. ROOT: the collection's folder, with a final slash.
# PYTHON picks the interpreter that .venv is made with; another choice makes it anew. "$$INTERPRETER" is its interpreter in recipes.
VENV   := $(ROOT).venv
MADE   := $(shell cat $(VENV)/installed 2>/dev/null)
PYTHON ?= $(or $(MADE),python3)
export PYTHON
export INTERPRETER := $(CURDIR)/$(VENV)/bin/python

$(VENV)/installed: $(ROOT)requirements.txt $(ROOT)pyproject.toml $(if $(filter-out $(PYTHON),$(MADE)),FORCE)
	@bash $(ROOT)common/make/setup.sh "$(ROOT)." "$$PYTHON"

$(VENV)/extras: $(ROOT)requirements-extra.txt $(VENV)/installed
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$<" --constraint "$(ROOT)requirements.txt"
	@touch $@

.PHONY: setup extras FORCE
extras: $(VENV)/extras ## what only an option needs: OpenVINO (DEVICE=openvino) and Ray Data (STREAM=ray)
setup: $(VENV)/installed ## set up .venv (done by itself when needed); PYTHON= picks the interpreter
FORCE:
