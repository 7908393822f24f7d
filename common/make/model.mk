# The core of every model's Makefile: its environment, how a stage is run, and what all models can do. A model's Makefile
# declares what is particular to it (stages.mk lists what that may be, and has the defaults), and then includes this.
#
# A stage's line is given to `python3 -m common.make.stage`, which notes what it used, read and left; before make decides
# anything, `common.make.check` looks whether that still holds. So a stage is done anew when its line, a source that it
# imported, or a file that it read or left has changed. All goes under $(B), where one make is at work at a time.
.DELETE_ON_ERROR:
.SUFFIXES:
.NOTPARALLEL:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ifneq ($(shell test -L common && test -d common && echo linked),)
# in the collection: its environment
ROOT := ../
include $(MK)/setup.mk
READY := $(VENV)/installed
else
# a folder of its own: the environment that is active
PYTHON ?= python3
READY  :=
export INTERPRETER := $(PYTHON)
.PHONY: FORCE setup
FORCE:
setup: ## install what requirements.txt lists into the environment that is active
	"$$INTERPRETER" -m pip install --requirement requirements.txt
endif
# for what must answer before .venv is there
NOW := $(if $(wildcard $(READY)),$(INTERPRETER),$(PYTHON))
PY  := "$$INTERPRETER"

export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
DEVICE ?= cpu
BATCH  ?= 1
ifneq ($(KEEP),)
override KEEP := $(if $(filter /%,$(KEEP)),,$(CURDIR)/)$(KEEP)
endif
export LIMIT DEVICE DEVICES PRECISION OVERFLOW SUMS KEEP THREADS JOBS SOURCE STREAM ACTORS $(filter $(TEXTS),$(.VARIABLES))
# Without PTH, the demo's weights; PTH=seeded, or SEEDED= given: weights that were never trained.
CHECKPOINT := $(or $(strip $(PTH)),$(if $(filter SEEDED,$(GIVEN)),seeded,$(or $(wildcard demo.pth),seeded)))
export CHECKPOINT

# Goals that make nothing of what is there. `make -n` in a fresh folder has nothing to look at.
MAKEFLAGS += --no-builtin-rules
IDLE  := help clean distclean setup extras doctor dist submit readme bench demo-weights selftest upstream classifier fingerprint-write
GOALS := $(filter-out $(IDLE),$(or $(MAKECMDGOALS),help))
DRY   := $(findstring n,$(filter-out ---%,$(firstword -$(MAKEFLAGS))))
FRESH := $(if $(DRY),$(if $(wildcard $(B)/.args),,yes))

include $(MK)/stages.mk
LISTS   := $(foreach part,$(DATA),$(B)/$(firstword $(subst =, ,$(part))).list)
LINKS   := $(foreach part,$(DATA),--link $(part))
WEIGHTS := checkpoint.list $(if $(filter seeded,$(CHECKPOINT)),seeded.pth)
ifneq ($(filter-out 0,$(STREAM)),)
include $(MK)/stream.mk
endif

# What a stage's line means beside its words: no export depends on samples, and only what is timed on device and threads.
# With DEVICE=auto that is also what the choice depends on (common.engines.fastest).
settings = $(if $(filter seeded export% om-%,$(1)),$(SOURCE:%= SOURCE=%),$(if $(filter perf% sweep-% size demo fingerprint,$(1)),, LIMIT=$(LIMIT))) \
           $(if $(filter infer perf% stream,$(1)),DEVICE=$(DEVICE)$(PRECISION:%= PRECISION=%)) \
           $(if $(filter infer perf% stream compare-% int8-run,$(1)), THREADS=$(THREADS)) \
           $(if $(or $(filter %-cann,$(1)),$(and $(filter infer perf% stream,$(1)),$(filter cann,$(DEVICE)))),$(ATC_PRECISION:%= ATC_PRECISION=%)) \
           $(if $(or $(filter %cpu-f16,$(1)),$(filter f16,$(PRECISION))),$(OVERFLOW:%= OVERFLOW=%)$(SUMS:%= SUMS=%)$(if $(KEEP), KEEP=$(shell cksum 2>/dev/null <$(call q,$(KEEP))))) \
           $(if $(or $(filter %-auto,$(1)),$(and $(filter infer perf% stream,$(1)),$(filter auto,$(DEVICE)))), CHOSEN_BY=$(chosen_by)) \
           $(if $(filter stream,$(1)),$(DEVICES:%= DEVICES=%) STREAM=$(STREAM)$(ACTORS:%= ACTORS=%))
chosen_by = $(eval chosen_by := $$(shell PYTHONPATH=$$(call q,$$(PYTHONPATH)) $$(call q,$$(NOW)) -m common.engines.fastest $$(B)))$(chosen_by)
kind     = $(if $(filter infer perf% stream sweep-% compare-% int8-run,$(1)),timed) $(if $(filter agreement compare-%,$(1)),judged) \
           $(if $(filter om-%,$(1)),fresh) $(if $(filter %postprocess,$(1)),anew) \
           $(if $(filter export preprocess infer postprocess pytorch agreement perf stream om-% sweep-% compare-% int8-run,$(1)),told)
needs    = $(sort $($(1)_NEED) $(if $(filter $(1),$(WEIGHTS_STAGES)),$(WEIGHTS)))
define stage_rules
$(B)/$($(1)_OUT): private .SHELLFLAGS := -c 'exec "$$$$INTERPRETER" -m common.make.stage "$$$$@"' stage --build $(B) \
    --out $($(1)_OUT) $(addprefix --kind ,$(call kind,$(1))) $(addprefix --need ,$(call needs,$(1))) $(1)
$(B)/$($(1)_OUT): $(B)/.args/$(1) $(addprefix $(B)/,$(call needs,$(1))) | $(READY)
	$(if $(filter-out 0,$(V)),,@)cd $(B) && $$($(1)_CMD)
.PHONY: $(1)
$(1): $(B)/$($(1)_OUT)
endef

# Each stage is one of the run's, or one that others need or that shows it.
MADE_FIRST := $(if $(filter seeded,$(CHECKPOINT)),seeded) $(if $(strip $(DATASETS_PATH)),,$(if $(DATA),demo)) \
              $(if $(wildcard fingerprint.json),fingerprint)
SHOWN      := cost $(if $(gallery_CMD),gallery) report_json page
$(foreach stage,$(MADE_FIRST) $(STAGES) $(SHOWN),$(eval $(call stage_rules,$(stage))))
ifneq ($(filter demo,$(MADE_FIRST)),)
$(LISTS): $(B)/demo.done
	@touch $@
endif
# preprocessing is checked before inference
$(B)/$(infer_OUT) $(B)/stream.json: | $(if $(filter fingerprint,$(MADE_FIRST)),$(B)/fingerprint.ok)
include $(MK)/om.mk
include $(MK)/try.mk
# what only the data tell: make makes this file first, and then begins anew
ifneq ($(and $(FOUND),$(filter-out try,$(GOALS)),$(if $(FRESH)$(NO_OM),,yes)),)
ifneq ($(DRY),)
$(eval $(file <$(B)/$($(FOUND)_OUT)))
else
include $(B)/$($(FOUND)_OUT)
endif
endif

include $(MK)/precision.mk
include $(MK)/compare.mk
include $(MK)/int8.mk
include $(MK)/cann.mk

# What is there is looked at before make decides. One make at a time in a build folder: the next one waits.
LOCKED := $(if $(and $(filter-out help doctor setup extras,$(or $(MAKECMDGOALS),help)),$(if $(DRY)$(MAKE_RESTARTS)$(NO_OM),,yes)),$(shell \
    PYTHONPATH=$(call q,$(PYTHONPATH)) $(call q,$(NOW)) -m common.make.lock $(B) $$PPID || echo failed))
ifneq ($(and $(GOALS),$(if $(FRESH)$(NO_OM),,yes)),)
CHECKED := $(shell PYTHONPATH=$(call q,$(PYTHONPATH)) $(call q,$(NOW)) -m common.make.check $(B) \
    --data $(call q,$(DATASETS_PATH)) --pth $(call q,$(CHECKPOINT)) $(LINKS) $(foreach stage,$(MADE_FIRST) $(STAGES) $(SHOWN) \
    $(ASKED),--stage $(stage) $(call q,$(strip $($(stage)_CMD)$(call settings,$(stage))))) || echo failed)
endif
$(if $(NO_OM)$(LOCKED)$(CHECKED),$(error it ends here, for the reason above))
$(B)/.args/%: ;
$(B)/inputs.json $(B)/checkpoint.list $(if $(filter demo,$(MADE_FIRST)),,$(LISTS)): ;

include $(MK)/dist.mk

# The upstream's code. Asked for each time; the mark changes only when the commit or a diff does.
.PHONY: upstream
upstream: FORCE | $(READY) ## the upstream's pinned commit, diffs applied, in build/upstream (UPSTREAM_URL= a mirror or clone)
	@$(PY) -m common.convert.upstream fetch --url "$${UPSTREAM_URL-}"
ifeq ($(SOURCE),upstream)
build/upstream/.fetched.json: upstream ;
$(foreach stage,$(filter export%,$(STAGES)),$(eval $(B)/$($(stage)_OUT): build/upstream/.fetched.json))
endif

DOCUMENTED := Makefile model.mk om.mk try.mk precision.mk compare.mk int8.mk cann.mk dist.mk setup.mk
.PHONY: all report report.json readme selftest clean help doctor demo-weights fingerprint-write bench
report.json: $(B)/report.json
all: report ## the whole way: export, preprocess, inference, accuracy, performance, report
report: $(B)/report.html ## build/report.json and report.html, and the summary on the terminal
	@$(PY) -m common.publish.report show $(B)/report.json

demo-weights: | $(READY) ## train the demo's weights anew, into build/demo-weights (README.md says on what)
	@mkdir -p $(B)/demo-weights
	cd $(B)/demo-weights && $(TRAIN_CMD) --output demo.pth
	@echo "PTH=$(B)/demo-weights/demo.pth uses them; copied here with their .json, they are the demo's"

# with the environment as it is: what is missing from it is what doctor is to tell
doctor: ## what `make all` finds on this machine, and what to do about what is missing
	@$(call q,$(NOW)) -m common.npu.doctor --data "$${DATASETS_PATH-}" --pth "$$CHECKPOINT" $(LINKS) $(DOCTOR)

# DATA_NAME= what the tables call the dataset (default: its folder's name)
readme: | $(READY) ## write the results of the run that is there into results.json and README.md
	@$(PY) -m common.dev.readme $(if $(wildcard $(B)/report.json),--report $(B)/report.json) --data "$${DATA_NAME-}"

fingerprint-write: | $(READY) ## store what preprocessing makes now of the fixed picture, after a change that is meant
	@$(PY) -m common.data.fingerprint write

selftest: $(READY) ## the whole way on two made-up samples and narrow seeded weights, in seconds
	@rm -rf build_selftest
	@$(MAKE) --no-print-directory -s report B=build_selftest DATASETS_PATH= DEVICES= STREAM= PTH=seeded \
	    SEEDED=$(call q,$(SELFTEST)) LIMIT=2 ROUND=2 LOOP=2 $(SELFTEST_ARGS) >build_selftest.log 2>&1 || \
	    { tail -n 25 build_selftest.log >&2; exit 1; }
	@$(PY) -m common.publish.report show build_selftest/report.json
	@rm -rf build_selftest build_selftest.log
	@echo "$(NAME): selftest passed"

# COUNT= samples of each step (default: 100)
bench: | $(READY) ## pre- and postprocessing beside what cannot be avoided, and start-ups, into build/bench.json; COUNT=n samples
	@$(PY) -m common.dev.bench run --work $(B)/bench --output $(B)/bench.json $(addprefix --count ,$(COUNT))

clean: ## remove build/
	rm -rf $(B) build_testcase build_selftest build_selftest.log

help: ## this list
	@echo "$(NAME): make [target] [DATASETS_PATH=folder] [PTH=checkpoint|seeded] [LIMIT=n] [DEVICE=cpu|cuda|tensorrt|cann|openvino|auto] [PRECISION=f16|f32|bf16] [DEVICES=0,1,..] [STREAM=1|ray]"
	@echo "stages: $(STAGES)"
	@$(call q,$(NOW)) -m common.make help $(DOCUMENTED)

.DEFAULT:
	@[[ -e $(call q,$@) ]] || { echo $(call q,error: $(NAME) has no target $@$(call nearest,$@,$(STAGES),$(DOCUMENTED)); make lists them) >&2; exit 2; }
