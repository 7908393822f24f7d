# `make int8`: the network in int8 beside float32 and half precision, on the same samples (common.precision.int8).
#
#   CALIBRATION        a folder of samples to calibrate on, laid out as DATASETS_PATH; without it the demo is drawn with
#                      another seed, and a real dataset gives what int8_FROM names of it
#   CALIBRATION_COUNT  how many
#   int8_PREPROCESS    PREPROCESS for them, where that is another; int8_LINK: the parts of DATA that it reads
#   int8_IDS           --ids IMAGES LIST, where a list names the samples that are judged
#   int8_FROM          where a real dataset has such samples, as `int8 lay-out` takes it
CALIBRATION_COUNT ?= 8
int8_PREPROCESS   ?= $(PREPROCESS)
int8_LINK         ?= $(DATA)
int8_DEMO          = $(if $(DATA),$(if $(strip $(DATASETS_PATH)$(CALIBRATION)),,yes))

calibrate_OUT  := int8/prep/manifest.json
calibrate_NEED  = $(export_OUT) $(firstword $(preprocess_OUT))
calibrate_CMD   = rm -rf int8 && mkdir -p int8 && ln -s ../$(export_OUT) int8/$(export_OUT) && \
    $(if $(int8_DEMO),(cd int8 && $(PY) -m common.data.demo.$(firstword $(DEMO)) demo --count $(CALIBRATION_COUNT) --seed 1$(if \
    $(DEMO_THEN), && LIMIT= $(PY) ../../$(DEMO_THEN))) && )$(PY) -m common.precision.int8 lay-out $(addprefix --link ,$(int8_LINK)) \
    $(if $(strip $(CALIBRATION)),--given "$$(cd "$$HERE" && realpath -m "$$CALIBRATION")",$(if $(int8_DEMO),--demo,$(int8_FROM))) \
    $(int8_IDS) && (cd int8 && LIMIT=$(CALIBRATION_COUNT) $(PY) ../../$(int8_PREPROCESS))
quantise_OUT   := int8/int8.onnx
quantise_NEED  := $(calibrate_OUT) $(infer_NEED)
quantise_CMD    = $(PY) -m common.precision.int8 quantise $(INFERRED)
# infer's line in a folder of its own, where the model's name is a link to the one in int8
int8-run_OUT   := int8/run/compared
int8-run_NEED  := $(quantise_OUT) $(infer_NEED) $(pytorch_OUT)
int8-run_CMD    = rm -rf int8/run && mkdir -p int8/run && ln -s ../int8.onnx int8/run/$(INFERRED) && \
    $(call apart,int8/run,$(call with,cpu)) && touch int8/run/compared
$(foreach stage,calibrate quantise int8-run,$(eval $(call stage_rules,$(stage))))
ASKED += $(if $(filter int8,$(MAKECMDGOALS)),calibrate quantise int8-run)
.PHONY: int8
ifneq ($(filter-out 0,$(STREAM)),)
int8:
	$(call unstreamed,result)
else ifeq ($(DEVICE),auto)
int8:
	@echo "error: make int8 holds 8 bits against float32, which DEVICE=auto may not choose; run it without" >&2; exit 1
else
int8: $(addprefix $(B)/,$(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(agreement_OUT) cost.json)
int8: $(B)/compare/cpu-f16/compared $(B)/int8/run/compared ## the network in int8 beside float32 and half, by the model's tolerance: CALIBRATION=folder, CALIBRATION_COUNT=n
	@cd $(B) && $(PY) -m common.precision.int8 judge $(INFERRED) --run $(infer_OUT)
endif
