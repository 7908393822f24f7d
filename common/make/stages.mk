# What a model's Makefile declares, with the defaults of every stage. Whatever stands here it can declare otherwise.
#
#   NAME, ALL       the model's name; MK: where these files are
#   DATA            parts of the dataset: NAME=CANDIDATE,CANDIDATE ..., each linked as build/data/NAME
#   IMAGES, TRUTH   the parts of DATA that PREPROCESS and POSTPROCESS read
#   TOOL            benchmark, ais_infer or msame (of one sample, prep/input.bin): whose command line infers and times
#   ONNX            the model file in build/ without its ending; PERF_ONNX: the one that is timed, where that is another
#   WIDTH, HEIGHT   the input's, for benchmark (default: it is square; no WIDTH: each sample's own)
#   EXPORT, PREPROCESS, INFO, POSTPROCESS, GALLERY, TRAIN   a script of the folder and its arguments, run in build/
#   METRIC          the script and its arguments for the results in folder $(1), into $(2)/accuracy.json; none: no metric
#   AGREEMENT       the program that compares two result folders
#   ATC_SHAPE       atc's flag of the input's shape for batch $(1); ATC_MORE: further flags
#   AIPP            the preprocess script, without .py, whose scaling the chip's AIPP can do
#   DEMO            a program of common.data.demo and its arguments; DEMO_THEN: a script that goes on from it
#   SEEDED          widths (name=number ...) of seeded weights; SELFTEST: as narrow as the network still works
#   STAGES          in order; of each, <stage>_OUT: the file in build/ that stands for it, <stage>_CMD: its line, run in
#                   build/, <stage>_NEED: the files in build/ that it reads (data parts as NAME.list). Sources that it
#                   imports are found, and need not be named
#   FOUND           a stage whose file make reads, since it sets variables that only the data tell
#   WEIGHTS_STAGES  the stages that read checkpoint.pth
# and, said where they are used: om.mk, try.mk, compare.mk, stream.mk.

# The tools' stand-ins; the same command lines drive the real ones. With DEVICES, infer's runs on all of them;
# benchmark's result folder and record are then the merged ones.
BENCHMARK := $(PY) -m common.tools.benchmark
MSAME     := $(PY) -m common.tools.msame
AIS_INFER := $(PY) -m common.tools.ais_infer
SPLIT      = $(if $(strip $(DEVICES)),$(PY) -m common.devices "$(DEVICES)" --)
DUMP       = result/dumpOutput_device$(if $(strip $(DEVICES)),s,0)
record     = result/$(if $(strip $(DEVICES)),devices,onnxruntime_batchsize_$(1)_device_0).json

ifneq ($(origin STAGES),file)
STAGES := export preprocess $(if $(INFO),info) infer postprocess pytorch $(if $(METRIC),pytorch_postprocess) agreement perf
endif
WEIGHTS_STAGES ?= export pytorch
PERF_ONNX      ?= $(ONNX)
BATCHES        ?= 1
HEIGHT         ?= $(WIDTH)

# without a checkpoint and without a dataset
seeded_OUT := seeded.pth
seeded_CMD  = $(PY) -m common.convert.seed --model .. --output seeded.pth $(addprefix --set ,$(SEEDED))
demo_OUT   := demo.done
demo_CMD   ?= $(PY) -m common.data.demo.$(firstword $(DEMO)) demo $(wordlist 2,99,$(DEMO))$(if $(DEMO_THEN), && \
              LIMIT= $(PY) ../$(DEMO_THEN)) && touch demo.done

export_OUT ?= $(ONNX).onnx
export_CMD ?= $(PY) ../$(EXPORT)

preprocess_OUT  ?= prep/manifest.json
preprocess_CMD  ?= $(PY) ../$(PREPROCESS)
preprocess_NEED ?= $(IMAGES:%=%.list) $(export_OUT)
fingerprint_OUT := fingerprint.ok
fingerprint_CMD  = $(PY) -m common.data.fingerprint check --model .. && touch fingerprint.ok

info_OUT  ?= $(filter %.info,$(INFO))
info_CMD  ?= $(PY) ../$(INFO)
info_NEED ?= $(preprocess_OUT)

# onnxsim writes its file in place; what stands for the stage is the check that it passed. SIMPLIFY: onnxsim's flags
simplify_OUT  := simplify.json
simplify_CMD   = $(PY) -m onnxsim $(SIMPLIFY) $(ONNX).onnx $(ONNX)_sim.onnx && \
                 $(PY) -m common.convert.simplify $(ONNX).onnx $(ONNX)_sim.onnx --output simplify.json
simplify_NEED ?= $(export_OUT)

# the model file that infer runs
INFERRED    = $(if $(filter simplify,$(STAGES)),$(PERF_ONNX).onnx,$(export_OUT))
infer_NEED ?= $(export_OUT) $(if $(INFO),$(info_OUT),$(preprocess_OUT))
READS      ?= $(sort $(export_OUT) $(PERF_ONNX).onnx) $(info_OUT) prep
perf_NEED  ?= $(PERF_ONNX).onnx
ifeq ($(TOOL),benchmark)
RESULT    ?= $(DUMP)
infer_OUT ?= $(call record,$(BATCH))
infer_CMD ?= RESUME=1 $(SPLIT) $(BENCHMARK) -model_type=vision -device_id=0 -batch_size=$(BATCH) -om_path=$(export_OUT) \
             -input_text_path=$(info_OUT) $(if $(WIDTH),-input_width=$(WIDTH) -input_height=$(HEIGHT) )-output_binary=True -useDvpp=False
perf_OUT  ?= result/onnxruntime_pure_$(PERF_ONNX)_device_0.json
perf_CMD  ?= $(BENCHMARK) -round=$(ROUND) -om_path=$(PERF_ONNX).onnx -device_id=0 -batch_size=$(BATCH)
else ifeq ($(TOOL),ais_infer)
RESULT    ?= result/bs$(BATCH)
infer_OUT ?= $(RESULT)_onnxruntime.json
infer_CMD ?= RESUME=1 $(SPLIT) $(AIS_INFER) --model $(export_OUT) --input prep --output result --output_dirname bs$(BATCH) \
             --outfmt BIN --batchsize $(BATCH)
perf_OUT  ?= result/pure_bs$(BATCH)_onnxruntime.json
perf_CMD  ?= $(AIS_INFER) --model $(PERF_ONNX).onnx --output result --output_dirname pure_bs$(BATCH) --loop $(LOOP) \
             --batchsize $(BATCH)
else ifeq ($(TOOL),msame)
# it names its result folder after the date; $(call latest,DIR) makes links to it whose names stay. One sample cannot be
# divided: of several devices the first runs it
latest     = folder=$$($(PY) -m common.data.result_files newest $(1)) && ln -sfn "$${folder\#\#*/}" $(1)/latest && \
             ln -sf "$${folder\#\#*/}_onnxruntime.json" $(1)/latest.json
RESULT    ?= result/latest
infer_OUT ?= result/latest.json
infer_CMD ?= rm -rf result && $(MSAME) --model $(PERF_ONNX).onnx --input prep/input.bin --output result \
             $(addprefix --device ,$(firstword $(subst $(comma), ,$(DEVICES)))) && $(call latest,result)
perf_OUT  ?= perf/latest.json
perf_CMD  ?= rm -rf perf && $(MSAME) --model $(PERF_ONNX).onnx --input prep/input.bin --output perf --loop $(LOOP) && \
             $(call latest,perf)
endif

postprocess_OUT  ?= accuracy.json
postprocess_CMD  ?= $(PY) ../$(POSTPROCESS)
postprocess_NEED ?= $(infer_OUT) $(TRUTH:%=%.list)

pytorch_OUT  ?= pytorch/result_pytorch.json
pytorch_CMD  ?= $(PY) -m common.infer.pytorch_infer --model .. --pth checkpoint.pth --prep prep --output pytorch/result
pytorch_NEED ?= $(preprocess_OUT)

pytorch_postprocess_OUT  ?= pytorch/accuracy.json
pytorch_postprocess_CMD  ?= $(PY) ../$(call METRIC,pytorch/result,pytorch) >pytorch/metric.txt && tail -n 1 pytorch/metric.txt
pytorch_postprocess_NEED ?= $(pytorch_OUT) $(TRUTH:%=%.list)

AGREEMENT      ?= $(PY) -m common.judge.agreement
agreement_OUT  ?= agreement.json
agreement_CMD  ?= $(AGREEMENT) $(RESULT) pytorch/result --output agreement.json
agreement_NEED ?= $(infer_OUT) $(pytorch_OUT)

SWEEP_MODEL ?= $(PERF_ONNX).onnx

OM      ?= $(BATCHES:%=$(ONNX)_bs%)
om_NEED ?= $(ONNX).onnx
om_CMD  ?= atc --framework=5 --model=$(om_NEED) --output=$(1) --input_format=NCHW \
           $(call ATC_SHAPE,$(1:$(ONNX)_bs%=%))$(ATC_MORE:%= %) $(om_FLAGS)$(KEPT) --log=error \
           --soc_version=$(SOC)

# of the sweep, the report has what was measured as everything else was
REPORT_ARGS     ?= --accuracy accuracy.json --pytorch pytorch/accuracy.json --agreement agreement.json \
                   --run $(infer_OUT) --run $(perf_OUT)
REPORTED         = $(foreach batch,$(BATCHES),$(call sweep_file,$(batch),$(or $(THREADS),all),$(OWN_ENGINE)))
report_json_OUT := report.json
report_json_NEED = $(foreach stage,$(STAGES),$($(stage)_OUT)) inputs.json cost.json \
                   $(patsubst $(B)/%,%,$(wildcard $(addprefix $(B)/,$(REPORTED) int8.json)))
report_json_CMD  = $(PY) -m common.publish.report make --model .. --output report.json --om compare/OM/agreement.json $(REPORT_ARGS) \
                   --cost cost.json --int8 int8.json \
                   $(addprefix --sweep ,$(REPORTED)) $(foreach stage,$(STAGES),--stage $(stage)=$($(stage)_OUT))
# what the model files take of a chip
cost_OUT        := cost.json
# a model of free height and width has no cost of its own
cost_CMD         = $(PY) -m common.convert.cost $(sort $(if $(filter exact,$(SHAPE)),,$(export_OUT)) $(PERF_ONNX).onnx) --output cost.json
cost_NEED        = $(export_OUT) $(if $(filter simplify,$(STAGES)),simplify.json,$(PERF_ONNX).onnx)
gallery_OUT     := gallery.json
gallery_CMD     ?= $(if $(GALLERY),$(PY) ../$(GALLERY))
gallery_NEED    ?= $(postprocess_OUT)
page_OUT        := report.html
page_NEED        = report.json $(if $(gallery_CMD),gallery.json) $(notdir $(wildcard $(addprefix $(B)/,rehearse.json layers.json \
                   keep.json cann.json aipp.json)))
page_CMD         = $(PY) -m common.publish.page report.json --output report.html

TRAIN_CMD ?= $(PY) ../../$(TRAIN)
# the dataset's folder for a command that runs elsewhere
DATASET = "$$(cd "$$HERE" && realpath -m "$$DATASETS_PATH")"
export HERE := $(CURDIR)
# the recipe, with STREAM=1, of what needs the files that it does not write: $(1), which
unstreamed = @echo "error: make $@ needs the $(1) files that STREAM=1 does not leave; run it without" >&2; exit 1
