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
#   TRAIN_CMD    what `make demo-weights` trains demo.pth with, in build/demo-weights
#   NETWORK_SRC  the network; SEEDED: its widths (name=number ...) for seeded weights, empty for the reference's
#   WEIGHTS_STAGES  the stages that read checkpoint.pth
#   BATCHES      batch sizes of `make sweep`, those that SWEEP_MODEL takes: the .onnx file in build/ that it times;
#                SWEEP_NEED: the file that stands for it, where that is another
#   OM           the .om files of `make om`, without the ending; om_CMD: atc's line for $(1), one of them, for the chip
#                $(SOC); om_NEED: the files in build/ that it reads
#   REPORT_ARGS  what the report is made from (common.publish.report make --help)
#   gallery_CMD, _NEED, _SRC  a stage that draws the page's pictures, gallery.json (common.publish.gallery); none: no pictures
#   SELFTEST     widths for the seeded weights of `make selftest`, as narrow as the network still works;
#                SELFTEST_ARGS: further arguments of its make
#   PREPROCESS, POSTPROCESS  the scripts and their arguments, of preprocess_CMD and postprocess_CMD
#   STREAMED     the stages that STREAM=1 does without, beside infer (default: all between export and perf);
#                STREAM_MODEL: the model it runs, if not export's; gallery_READS: the gallery needs result files
#   RESULT       where the stand-in leaves its results, for `make compare`; the folder of PyTorch's is pytorch/result
#   AGREEMENT    the program that compares two result folders (default: common.judge.agreement)
#   METRIC       its metric for the results in folder $(1), into $(2)/accuracy.json; none for a model without metric
#
# DEVICES=0,1 gives each of these devices a part of the dataset (common.devices): infer_CMD begins with $(SPLIT).
# SOURCE=upstream exports from the upstream's network (`make upstream`) in place of the built-in one.
# STREAM=1 runs preprocess, inference and postprocess as one stage, stream, that leaves no .bin (common.infer.stream).
# ENGINE=ray does that on Ray Data, on this machine or the cluster at RAY_ADDRESS, ACTORS processes holding the model.
# A changed command line, LIMIT, DEVICE, DEVICES, PRECISION or THREADS counts as a changed input. All goes under build/.
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
include common/make/setup.mk
READY := $(VENV)/installed
PY := "$(CURDIR)/$(VENV)/bin/python"
else
# a folder of its own: the environment that is active
PYTHON ?= python3
READY :=
PY := "$(PYTHON)"
.PHONY: FORCE setup
FORCE:
setup: ## install what requirements.txt lists into the environment that is active
	$(PY) -m pip install --requirement requirements.txt
endif

# for what must answer before .venv is there
PY_NOW = $(if $(wildcard $(READY)),$(PY),$(or $(PYTHON),python3))

DATASETS_PATH ?= $($(NAME)_DATASETS_PATH)
PTH           ?= $($(NAME)_PTH)
DEVICE        ?= cpu
BATCH         ?= 1
export LIMIT DEVICE DEVICES PRECISION THREADS SOURCE ENGINE ACTORS
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# The tools' stand-ins; the same command lines drive the real ones.
BENCHMARK := $(PY) -m common.tools.benchmark
MSAME     := $(PY) -m common.tools.msame
AIS_INFER := $(PY) -m common.tools.ais_infer

# With DEVICES, infer_CMD runs on all of them; benchmark's result folder and record are then the merged ones.
SPLIT  = $(if $(strip $(DEVICES)),$(PY) -m common.devices "$(DEVICES)" --)
DUMP   = result/dumpOutput_device$(if $(strip $(DEVICES)),s,0)
record = result/$(if $(strip $(DEVICES)),devices,onnxruntime_batchsize_$(1)_device_0).json

# A copied folder has no common/ of its own: the installed package's files are no prerequisites there.
sources = $(filter-out common/%,$(1)) $(wildcard $(filter common/%,$(1)))

# Without PTH, the demo's weights; PTH=seeded, or SEEDED= given: weights that were never trained.
CHECKPOINT := $(if $(strip $(PTH)),$(PTH),$(if $(filter command,$(firstword $(origin SEEDED))),seeded,$(or $(wildcard demo.pth),seeded)))

LISTS  := $(foreach part,$(DATA),$(B)/$(firstword $(subst =, ,$(part))).list)
INPUTS := --build $(B) --data "$(DATASETS_PATH)" --pth "$(CHECKPOINT)" $(addprefix --link ,$(DATA))

# What the run starts from. Looked at each time; a file changes only when what it describes does.
$(B)/inputs.json: FORCE | $(READY)
	@$(PY) -m common.data.inputs $(INPUTS)
$(LISTS) $(B)/checkpoint.list: $(B)/inputs.json
	@:

WEIGHTS := $(B)/checkpoint.list
ifeq ($(CHECKPOINT),seeded)
WEIGHTS += $(B)/seeded.pth
$(B)/seeded.pth: $(call sources,$(NETWORK_SRC) common/convert/seed.py) | $(READY)
	$(PY) -m common.convert.seed --output $@ $(addprefix --set ,$(SEEDED))
endif
# Without DATASETS_PATH, the demo, drawn by code.
ifeq ($(strip $(DATASETS_PATH)),)
$(LISTS): $(B)/demo.done
$(B)/demo.done: $(call sources,$(DEMO_SRC)) | $(READY) $(B)/.args
	cd $(B) && $(DEMO_CMD)
	@touch $@ $(LISTS)
endif

$(B)/.args:
	@mkdir -p $@

ifneq ($(ENGINE),)
STREAM := 1
$(if $(filter-out ray,$(ENGINE)),$(error ENGINE=$(ENGINE): expected ray))
endif
ifeq ($(STREAM),1)
STREAMED     ?= preprocess info postprocess pytorch pytorch_postprocess agreement
STREAM_MODEL ?= $(export_OUT)
stream_OUT   := stream.json
stream_CMD    = $(if $(gallery_READS),rm -f gallery.json && )$(PY) -m common.infer.stream --onnx $(STREAM_MODEL) \
                $(if $(filter-out 1,$(BATCH)),--batch_size $(BATCH)) \
                --preprocess "$(PREPROCESS)" --postprocess "$(POSTPROCESS)" --output stream.json
stream_NEED  := $(filter-out $(foreach stage,infer $(STREAMED),$($(stage)_OUT)),$(infer_NEED) $(preprocess_NEED) $(postprocess_NEED))
stream_SRC   := $(preprocess_SRC) $(postprocess_SRC) common/infer/stream.py
STAGES       := $(filter-out $(STREAMED),$(STAGES:infer=stream))
REPORT_ARGS  := $(if $(filter --accuracy,$(REPORT_ARGS)),--accuracy accuracy.json) --run stream.json --run $(perf_OUT)
gallery_NEED := stream.json
ifneq ($(gallery_READS),)
gallery_CMD  :=
endif
else ifneq ($(filter-out 0,$(STREAM)),)
$(error STREAM=$(STREAM): expected 1)
endif

# A verdict of fail is the report's to tell, at the end: the stage fails only where it leaves no file.
judged_later = rm -f $(1) && { $(2) || [[ -s $(1) ]]; }

# What of the environment a stage depends on: an export on no sample, only the stages that are timed on device and threads.
settings = $(if $(filter export% om-%,$(1)),$(SOURCE:%= SOURCE=%), LIMIT=$(LIMIT)) \
           $(if $(filter infer perf% stream,$(1)),DEVICE=$(DEVICE)$(PRECISION:%= PRECISION=%) THREADS=$(THREADS)) \
           $(if $(filter stream,$(1)),$(DEVICES:%= DEVICES=%)$(ENGINE:%= ENGINE=%)$(ACTORS:%= ACTORS=%))

define stage_rules
$(B)/.args/$(1): FORCE | $(B)/.args
	@printf '%s\n' '$$(subst ','\'',$$($(1)_CMD)$(call settings,$(1)))' > $$@.new
	@if cmp -s $$@.new $$@; then rm $$@.new; else mv $$@.new $$@; fi
$(B)/$($(1)_OUT): $(B)/.args/$(1) $(addprefix $(B)/,$($(1)_NEED)) $(call sources,$($(1)_SRC)) | $(READY)
	$(if $(filter om-%,$(1)),@rm -f $$@)
	cd $(B) && $(if $(filter agreement,$(1)),$$(call judged_later,$(agreement_OUT),$$($(1)_CMD)),$$($(1)_CMD))
	@test -e $$@ || { echo "error: $(1) left no $$@" >&2; exit 1; }; touch $$@
.PHONY: $(1)
$(1): $(B)/$($(1)_OUT)
endef
$(foreach stage,$(STAGES),$(eval $(call stage_rules,$(stage))))

# Both ways write the same files, so going from one to the other counts as a change.
$(B)/.args/STREAM: FORCE | $(B)/.args
	@echo '$(filter 1,$(STREAM))' | cmp -s - $@ || echo '$(filter 1,$(STREAM))' > $@
$(B)/$(postprocess_OUT) $(B)/stream.json: $(B)/.args/STREAM

# Engines by the names of `make compare` and `make sweep`, and the one that DEVICE and PRECISION name. Whether this
# machine has one of the others is asked each time; the file is empty, or says why not.
ALL_ENGINES := cpu cuda tensorrt cann openvino-f32 openvino-bf16
OWN_ENGINE  := $(DEVICE)$(if $(filter openvino,$(DEVICE)),-$(or $(PRECISION),f32))
unknown     := $(filter-out $(ALL_ENGINES) $(OWN_ENGINE),$(ENGINES) $(SWEEP_ENGINES))
$(if $(unknown),$(error no engine named $(unknown); there are $(ALL_ENGINES)))
by = DEVICE=$(firstword $(subst -, ,$(1))) PRECISION=$(word 2,$(subst -, ,$(1)))
$(ALL_ENGINES:%=$(B)/.args/engine-%): $(B)/.args/engine-%: FORCE | $(READY) $(B)/.args
	@$(PY) -m common.engines.sessions $* 2>$@.new || :
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# A stage per batch size, number of threads and engine, one after the other whatever -j says, since they are timed; then
# the table over them. Where an engine is not there, its stages leave the reason. $(1)-$(2)-$(3): batch, threads, engine.
SWEEP_THREADS ?= $(or $(THREADS),all)
SWEEP_ENGINES ?= $(OWN_ENGINE)
sweep_file = sweep/bs$(1)-$(2)-$(3)_onnxruntime.json
sweep_line = $(call by,$(3)) THREADS=$(filter-out all,$(2)) $(AIS_INFER) --model $(SWEEP_MODEL) --output sweep \
             --output_dirname bs$(1)-$(2)-$(3) --loop $(or $(LOOP),$(ROUND)) --batchsize $(1)
or_reason  = if [[ -s .args/engine-$(3) ]]; then mkdir -p sweep && cp .args/engine-$(3) $(sweep_file); \
             else $(sweep_line); fi
define sweep_stage
sweep-$(1)-$(2)-$(3)_OUT  := $(sweep_file)
sweep-$(1)-$(2)-$(3)_CMD   = $$(call $(if $(filter $(OWN_ENGINE),$(3)),sweep_line,or_reason),$(1),$(2),$(3))
sweep-$(1)-$(2)-$(3)_NEED := $(or $(SWEEP_NEED),$(SWEEP_MODEL)) $(if $(filter $(OWN_ENGINE),$(3)),,.args/engine-$(3))
$(if $(SWEPT),$(B)/$(sweep_file): | $(B)/$(lastword $(SWEPT)))
SWEPT += $(sweep_file)
endef
SWEPT :=
$(foreach engine,$(SWEEP_ENGINES),$(foreach threads,$(SWEEP_THREADS),$(foreach batch,$(BATCHES),\
    $(eval $(call sweep_stage,$(batch),$(threads),$(engine)))\
    $(eval $(call stage_rules,sweep-$(batch)-$(threads)-$(engine))))))
.PHONY: sweep
sweep: $(addprefix $(B)/,$(SWEPT)) ## throughput over BATCHES, SWEEP_THREADS="1 2", SWEEP_ENGINES="cpu openvino-bf16", the best named
	@cd $(B) && $(PY) -m common.judge.sweep --model .. --output sweep.json $(SWEPT)

# For where atc is; elsewhere `make -n om` prints its lines. The chip: SOC_VERSION=, else the one that npu-smi names.
# atc's status proves nothing, so an .om of before is removed first.
CHIP = $(shell command -v npu-smi >/dev/null && $(PY_NOW) -m common.npu.chip 2>/dev/null)
SOC_VERSION ?= $(eval SOC_VERSION := $(CHIP))$(SOC_VERSION)
SOC = $(or $(strip $(SOC_VERSION)),"$${SOC_VERSION:?e.g. Ascend310P3}")
define om_stage
om-$(1)_OUT  := $(1).om
om-$(1)_CMD   = $$(call om_CMD,$(1))
om-$(1)_NEED := $(call om_NEED,$(1))
$(B)/.args/om-$(1): $(addprefix $(B)/,$(call om_NEED,$(1)))
endef
$(foreach name,$(OM),$(eval $(call om_stage,$(name))))
$(foreach name,$(OM),$(eval $(call stage_rules,om-$(name))))
.PHONY: om atc-there
atc-there:
	@command -v atc >/dev/null || { echo "error: no atc on PATH, so no .om: \`. ./env.sh\` finds CANN where it is" \
	    "installed, \`make -n om\` prints atc's lines, \`make all\` runs the .onnx on ONNX Runtime" >&2; exit 1; }
	@[[ -n "$(strip $(SOC_VERSION))" ]] || { echo "error: npu-smi names no chip to compile for; give" \
	    "SOC_VERSION=Ascend310P3 (say)" >&2; exit 1; }
om: atc-there $(OM:%=$(B)/%.om) ## the .om files, where atc is (make -n om: its lines); SOC_VERSION= names the chip, else npu-smi

# What the stages that run the network read: the checkpoint as it is now.
$(foreach stage,$(WEIGHTS_STAGES),$(eval $(B)/$($(stage)_OUT): $(WEIGHTS)))

# The upstream's code. Asked for each time; the mark changes only when the commit or a diff does.
.PHONY: upstream
upstream: FORCE | $(READY) ## the upstream's pinned commit, diffs applied, in build/upstream (UPSTREAM_URL= a mirror or clone)
	@$(PY) -m common.convert.upstream fetch --url "$(UPSTREAM_URL)"
build/upstream/.fetched.json: upstream
	@:
ifeq ($(SOURCE),upstream)
$(foreach stage,$(filter export%,$(STAGES)),$(eval $(B)/$($(stage)_OUT): build/upstream/.fetched.json))
endif

# One table, same samples: PyTorch, ONNX, ONNX by other ENGINES=, and what other backends left, OM_RESULT= and
# GPU_RESULT= their result folders.
AGREEMENT ?= $(PY) -m common.judge.agreement
agree   = { $(AGREEMENT) $(2) pytorch/result --output compare/$(1)/agreement.json >/dev/null || [[ -s compare/$(1)/agreement.json ]]; }
another = mkdir compare/$(1) && ln -s "$$(cd "$(CURDIR)" && realpath -m "$($(1)_RESULT)")" compare/$(1)/results && \
          $(call agree,$(1),compare/$(1)/results)$(if $(METRIC), && $(call METRIC,compare/$(1)/results,compare/$(1)) >/dev/null)
# by the same command line, in a folder of its own with links to what that reads
another_engine = mkdir -p compare/$(1) && for each in *; do [[ $$each == compare || $$each == result ]] || \
                     ln -sfn "../../$$each" "compare/$(1)/$$each"; done && \
                 (cd compare/$(1) && export $(call by,$(1)) && $(infer_CMD)) >compare/$(1)/log.txt && \
                 $(call agree,$(1),compare/$(1)/$(RESULT))$(if $(METRIC), && \
                     $(call METRIC,compare/$(1)/$(RESULT),compare/$(1)) >/dev/null)
.PHONY: compare
ifeq ($(STREAM),1)
compare:
	@echo "error: make compare needs the result files that STREAM=1 does not leave; run it without" >&2; exit 1
else
compare: $(addprefix $(B)/,$(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(pytorch_postprocess_OUT) $(ENGINES:%=.args/engine-%)) ## one table: PyTorch, ONNX, ENGINES="openvino-f32 openvino-bf16", and the result folders OM_RESULT=, GPU_RESULT=
	@cd $(B) && rm -rf compare/ONNX compare/OM compare/GPU && mkdir -p compare/ONNX && $(call agree,ONNX,$(RESULT))
	@cd $(B)$(foreach engine,$(ENGINES), && { [[ -s .args/engine-$(engine) ]] || { $(call another_engine,$(engine)); }; })
	@$(if $(OM_RESULT),cd $(B) && $(call another,OM),:)
	@$(if $(GPU_RESULT),cd $(B) && $(call another,GPU),:)
	@cd $(B) && $(PY) -m common.judge.compare --model .. --run $(infer_OUT) $(addprefix --engine ,$(ENGINES))
endif

# the dataset's folder for a command that runs elsewhere
DATASET = "$$(cd "$(CURDIR)" && realpath -m "$(DATASETS_PATH)")"
.PHONY: demo-weights
demo-weights: | $(READY) ## train the demo's weights anew, into build/demo-weights (README.md says on what)
	@mkdir -p $(B)/demo-weights
	cd $(B)/demo-weights && $(TRAIN_CMD) --output demo.pth
	@echo "PTH=$(B)/demo-weights/demo.pth uses them; copied here with their .json, they are the demo's"

.PHONY: dist doctor
dist: | $(READY) ## this folder as one that needs nothing outside itself, in DEST=folder
	@$(PY) -m common.dev.dist "$(DEST)"

# with the environment as it is: what is missing from it is what doctor is to tell
doctor: ## what `make all` finds on this machine, and what to do about what is missing
	@$(PY_NOW) -m common.npu.doctor --data "$(DATASETS_PATH)" --pth "$(CHECKPOINT)" \
	    $(addprefix --link ,$(DATA)) $(DOCTOR)

# Checked before inference: preprocessing still makes of a fixed picture what it made when the model was brought here.
ifneq ($(wildcard fingerprint.json),)
$(B)/fingerprint.ok: fingerprint.json $(call sources,$(preprocess_SRC) common/data/fingerprint.py) $(READY) | $(B)/.args
	@cd $(B) && $(PY) -m common.data.fingerprint check --model ..
	@touch $@
$(B)/$(infer_OUT) $(B)/stream.json: | $(B)/fingerprint.ok
endif

.PHONY: all report report.json readme selftest clean help
report.json: $(B)/report.json
all: report ## the whole way: export, preprocess, inference, accuracy, performance, report
report: $(B)/report.html ## build/report.json and report.html, and the summary on the terminal
	@$(PY) -m common.publish.report show $(B)/report.json

# the pictures of the gallery are the report's, not a stage that others follow
gallery_OUT := gallery.json
ifneq ($(gallery_CMD),)
$(eval $(call stage_rules,gallery))
GALLERY := $(B)/gallery.json
endif

# of the sweep, the report has what was measured as everything else was
REPORTED    := $(foreach batch,$(BATCHES),$(call sweep_file,$(batch),$(or $(THREADS),all),$(OWN_ENGINE)))
SWEPT_THERE := $(wildcard $(addprefix $(B)/,$(REPORTED)))
$(B)/report.json: $(foreach stage,$(STAGES),$(B)/$($(stage)_OUT)) $(B)/inputs.json facts.json $(SWEPT_THERE) \
                  $(call sources,common/publish/report.py common/publish/provenance.py)
	cd $(B) && $(PY) -m common.publish.report make --model .. --output report.json --om compare/OM/agreement.json $(REPORT_ARGS) \
	    $(addprefix --sweep ,$(REPORTED)) $(foreach stage,$(STAGES),--stage $(stage)=$($(stage)_OUT))

$(B)/report.html: $(B)/report.json $(GALLERY) $(call sources,common/publish/page.py common/publish/page.css)
	cd $(B) && $(PY) -m common.publish.page report.json --output report.html

# DATA_NAME= what the tables call the dataset (default: its folder's name)
readme: | $(READY) ## write the results of the run that is there into results.json and README.md
	@$(PY) -m common.dev.readme $(if $(wildcard $(B)/report.json),--report $(B)/report.json) --data "$(DATA_NAME)"

selftest: $(READY) ## the whole way on two made-up samples and narrow seeded weights, in seconds
	@rm -rf build_selftest
	@$(MAKE) --no-print-directory -s report B=build_selftest DATASETS_PATH= DEVICES= PTH=seeded SEEDED="$(SELFTEST)" LIMIT=2 \
	    ROUND=2 LOOP=2 $(SELFTEST_ARGS) >build_selftest.log 2>&1 || { tail -n 25 build_selftest.log >&2; exit 1; }
	@$(PY) -m common.publish.report show build_selftest/report.json
	@rm -rf build_selftest build_selftest.log
	@echo "$(NAME): selftest passed"

# COUNT= samples of each step (default: 100)
.PHONY: bench
bench: | $(READY) ## pre- and postprocessing beside what cannot be avoided, and start-ups, into build/bench.json; COUNT=n samples
	@$(PY) -m common.dev.bench run --work $(B)/bench --output $(B)/bench.json $(addprefix --count ,$(COUNT))

clean: ## remove build/
	rm -rf $(B) build_testcase build_selftest build_selftest.log

help: ## this list
	@echo "$(NAME): make [target] [DATASETS_PATH=folder] [PTH=checkpoint|seeded] [LIMIT=n] [DEVICE=cpu|cuda|tensorrt|cann|openvino] [PRECISION=f32|bf16] [DEVICES=0,1,..] [STREAM=1]"
	@echo "stages: $(STAGES)"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1	/' | expand -t 14
