# The models, each in a folder of its own that has a facts.json; this Makefile fans out to them.
#   MODELS="EDSR CGAN"             picks some
#   EDSR_DATASETS_PATH=, EDSR_PTH= a model's own data and checkpoint (without them: the demo's)
ALL_MODELS := $(patsubst %/facts.json,%,$(wildcard */facts.json))
MK         := common/make
include $(MK)/variables.mk
MODELS     ?= $(ALL_MODELS)
STAGES     := export preprocess infer postprocess agreement perf cost int8 compare om upstream selftest clean

.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ROOT := ./
include $(MK)/setup.mk
NOW := $(if $(wildcard $(VENV)/installed),$(INTERPRETER),$(PYTHON))
PY  := "$$INTERPRETER"
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

$(if $(strip $(MODELS)),,$(error MODELS: names no model; there are $(ALL_MODELS)))
unknown := $(filter-out $(ALL_MODELS),$(MODELS))
$(if $(unknown),$(error MODELS: no model named $(unknown)$(call nearest,$(firstword $(unknown)),$(ALL_MODELS)); there are $(ALL_MODELS)))

.PHONY: all report readme test test-full lint clean distclean help new $(STAGES)
all: $(MODELS:%=%.report) ## every model the whole way, then the report: build/report.html and a summary here
	@$(MAKE) --no-print-directory -s build/report.html MODELS="$(MODELS)"
	@$(PY) -m common.publish.report table $(MODELS:%=%/build/report.json)

build/report.html: $(MODELS:%=%/build/report.html) build/.models
	@$(PY) -m common.publish.page $(MODELS:%=%/build/report.json) --output $@
build/.models: $(if $(subst |$(strip $(MODELS))|,,|$(shell cat build/.models 2>/dev/null)|),FORCE)
	@mkdir -p build && echo "$(strip $(MODELS))" >$@

THERE := $(wildcard $(MODELS:%=%/build/report.json))
report: $(VENV)/installed ## the same of the runs that are there
	$(if $(THERE),,$(error no model has been run yet; make all does it))
	@$(PY) -m common.publish.page $(THERE) --output build/report.html
	@$(PY) -m common.publish.report table $(THERE)

readme: $(MODELS:%=%.readme) ## write the results of the runs that are there into results.json and README.md
	@$(PY) -m common.dev.readme --overview $(ALL_MODELS)

.PHONY: $(foreach stage,report readme $(STAGES),$(MODELS:%=%.$(stage)))
$(MODELS:%=%.report): %.report: $(VENV)/installed
	@$(MAKE) --no-print-directory -C $* build/report.html

$(STAGES): %: $(foreach model,$(MODELS),$(model).%)
define fan_out
$$(MODELS:%=%.$(1)): %.$(1): $(if $(filter-out clean,$(1)),$(VENV)/installed)
	@$$(MAKE) --no-print-directory -C $$* $(1)
endef
$(foreach stage,readme $(STAGES),$(eval $(call fan_out,$(stage))))

# with the environment as it is: what is missing from it is what doctor is to tell
.PHONY: doctor
doctor: ## what `make all` finds on this machine, and what to do about what is missing
	@status=0; $(call q,$(NOW)) -m common.npu.doctor --only machine || status=1; \
	for model in $(MODELS); do $(MAKE) --no-print-directory -s -C $$model doctor DOCTOR="--only model" || status=1; done; \
	exit $$status

# one model after the other whatever -j says, since they are timed
.PHONY: bench
bench: $(VENV)/installed ## how fast pre- and postprocessing are: build/bench.json and a table; COUNT=n samples
	@for model in $(MODELS); do $(MAKE) --no-print-directory -s -C $$model bench >/dev/null || exit 1; done
	@$(PY) -m common.dev.bench show $$(ls $(MODELS:%=%/build/bench.json) 2>/dev/null) --output build/bench.json

new: $(VENV)/installed ## a folder for another model, MODEL=Name, that goes the whole way at once (docs/NEW_MODEL.md)
	@$(PY) -m common.dev.new "$${MODEL-}"

test: $(VENV)/extras lint ## the tests, some eight minutes
	$(PY) -m pytest -m "not full" --dist loadfile -n $$($(PY) -c 'from common.base import settings; print(min(8, settings.cores()))')

test-full: $(VENV)/extras ## the full-size checks, which need ../shared
	$(PY) -m pytest -m full

lint: $(VENV)/installed ## ruff, mypy and shellcheck
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/shellcheck -x $$(git ls-files '*.sh' 2>/dev/null || find . -name '*.sh' -not -path './.venv/*') .ci/run

clean: clean-page
.PHONY: clean-page
clean-page:
	@rm -rf build

distclean: clean ## also remove .venv
	rm -rf $(VENV) .venv.lock *.egg-info

.DEFAULT:
	@[[ -e $(call q,$@) ]] || { echo $(call q,error: no target named $@$(call nearest,$@,$(STAGES),Makefile setup.mk); make lists them) >&2; exit 2; }

help: ## this list
	@echo "make [target] [MODELS=\"$(ALL_MODELS)\"] [LIMIT=n] [DEVICE=cpu|cuda|tensorrt|cann|openvino|auto] [PRECISION=f16|f32|bf16] [DEVICES=0,1,..] [PYTHON=python3]"
	@$(call q,$(NOW)) -m common.make help Makefile setup.mk
	@echo "stages of every model: $(STAGES)"
