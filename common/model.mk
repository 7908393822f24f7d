# The rules of every model's Makefile. A model's Makefile declares, and then includes this file:
#
#   NAME         the model's name
#   DATA         parts of the dataset: NAME=CANDIDATE,CANDIDATE ..., each linked as build/data/NAME
#   STAGES       its stages in order, of those below
#   <stage>_OUT  the file in build/ that stands for the finished stage
#   <stage>_CMD  the command line, run in build/; $(PY) is the interpreter
#   <stage>_NEED what it reads beside the files of its script: files in build/ (data parts as NAME.list)
#   <stage>_SRC  its source files in the model's folder
#   DEMO_CMD     draws the demo dataset into build/demo; DEMO_SRC: its source files
#   NETWORK_SRC  the network; SEEDED: its widths (name=number ...) for seeded weights, empty for the reference's
#   WEIGHTS_STAGES  the stages that read checkpoint.pth
#   BATCHES      batch sizes of `make sweep`; sweep_OUT, _CMD, _NEED, _SRC are a stage's, with % for the batch size
#   REPORT_ARGS  what the report is made from (common.report make --help)
#
# A changed command line, LIMIT, DEVICE or THREADS counts as a changed input. Everything made goes under build/.
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
B := build

ifneq ($(shell test -L common && test -d common && echo linked),)
# in the collection: its environment
ROOT := ../
include common/setup.mk
READY := $(VENV)/installed
PY := "$(CURDIR)/$(VENV)/bin/python"
else
# a folder of its own: the environment that is active
PYTHON ?= python3
READY :=
PY := "$(PYTHON)"
.PHONY: FORCE
FORCE:
endif

DATASETS_PATH ?= $($(NAME)_DATASETS_PATH)
PTH           ?= $($(NAME)_PTH)
DEVICE        ?= cpu
BATCH         ?= 1
export LIMIT DEVICE THREADS
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# The tools' stand-ins; the same command lines drive the real ones.
BENCHMARK := $(PY) -m common.benchmark
MSAME     := $(PY) -m common.msame
AIS_INFER := $(PY) -m common.ais_infer

# A copied folder has no common/ of its own: the installed package's files are no prerequisites there.
sources = $(filter-out common/%,$(1)) $(wildcard $(filter common/%,$(1)))

LISTS  := $(foreach part,$(DATA),$(B)/$(firstword $(subst =, ,$(part))).list)
INPUTS := --build $(B) --data "$(DATASETS_PATH)" --pth "$(PTH)" $(addprefix --link ,$(DATA))

# What the run starts from. Looked at each time; a file changes only when what it describes does.
$(B)/inputs.json: FORCE | $(READY)
	@$(PY) -m common.inputs $(INPUTS)
$(LISTS) $(B)/checkpoint.list: $(B)/inputs.json
	@:

# Without PTH, seeded weights; without DATASETS_PATH, the demo, drawn by code.
WEIGHTS := $(B)/checkpoint.list
ifeq ($(strip $(PTH)),)
WEIGHTS += $(B)/seeded.pth
$(B)/seeded.pth: $(call sources,$(NETWORK_SRC) common/seed.py) | $(READY)
	$(PY) -m common.seed --output $@ $(addprefix --set ,$(SEEDED))
endif
ifeq ($(strip $(DATASETS_PATH)),)
$(LISTS): $(B)/demo.done
$(B)/demo.done: $(call sources,$(DEMO_SRC)) | $(READY) $(B)/.args
	cd $(B) && $(DEMO_CMD)
	@touch $@ $(LISTS)
endif

$(B)/.args:
	@mkdir -p $@

define stage_rules
$(B)/.args/$(1): FORCE | $(B)/.args
	$$(file >$$@.new,$$($(1)_CMD) LIMIT=$$(LIMIT) DEVICE=$$(DEVICE) THREADS=$$(THREADS))
	@if cmp -s $$@.new $$@; then rm $$@.new; else mv $$@.new $$@; fi
$(B)/$($(1)_OUT): $(B)/.args/$(1) $(addprefix $(B)/,$($(1)_NEED)) $(call sources,$($(1)_SRC)) | $(READY)
	cd $(B) && $$($(1)_CMD)
	@touch $$@
.PHONY: $(1)
$(1): $(B)/$($(1)_OUT)
endef
$(foreach stage,$(STAGES),$(eval $(call stage_rules,$(stage))))

# A stage per batch size, one after the other whatever -j says, since they are timed; then the table over them.
define sweep_stage
sweep-$(1)_OUT  := $(subst %,$(1),$(sweep_OUT))
sweep-$(1)_CMD   = $$(subst %,$(1),$$(sweep_CMD))
sweep-$(1)_NEED := $(subst %,$(1),$(sweep_NEED))
sweep-$(1)_SRC  := $(sweep_SRC)
$(if $(SWEPT),$(B)/$(subst %,$(1),$(sweep_OUT)): | $(B)/$(SWEPT))
SWEPT := $(subst %,$(1),$(sweep_OUT))
endef
ifneq ($(strip $(BATCHES)),)
$(foreach batch,$(BATCHES),$(eval $(call sweep_stage,$(batch))))
$(foreach batch,$(BATCHES),$(eval $(call stage_rules,sweep-$(batch))))
SWEPT := $(foreach batch,$(BATCHES),$(sweep-$(batch)_OUT))
.PHONY: sweep
sweep: $(addprefix $(B)/,$(SWEPT))
	@cd $(B) && $(PY) -m common.sweep --model .. --output sweep.json $(SWEPT)
endif

# What the stages that run the network read: the checkpoint as it is now.
$(foreach stage,$(WEIGHTS_STAGES),$(eval $(B)/$($(stage)_OUT): $(WEIGHTS)))

.PHONY: all report clean help
all: report ## the whole way: export, preprocess, inference, accuracy, performance, report
report: $(B)/report.json ## build/report.json, and its summary on the terminal
	@$(PY) -m common.report show $(B)/report.json

$(B)/report.json: $(foreach stage,$(STAGES),$(B)/$($(stage)_OUT)) $(B)/inputs.json facts.json $(call sources,common/report.py)
	cd $(B) && $(PY) -m common.report make --model .. --output report.json $(REPORT_ARGS)

clean: ## remove build/
	rm -rf $(B)

help: ## this list
	@echo "$(NAME): make [target] [DATASETS_PATH=folder] [PTH=checkpoint] [LIMIT=n] [DEVICE=cpu|cuda|tensorrt|cann]"
	@echo "stages: $(STAGES)"
	@$(if $(strip $(BATCHES)),echo "  sweep       throughput at batch $(strip $(BATCHES)) beside the reference's",:)
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1	/' | expand -t 14
