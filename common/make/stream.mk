# STREAM=1 runs preprocess, inference and postprocess as one stage, stream, that leaves no .bin (common.infer.stream);
# STREAM=ray does that on Ray Data, on this machine or the cluster at RAY_ADDRESS, ACTORS processes holding the model.
#
#   STREAMED      the stages that it does without, beside infer
#   STREAM_MODEL  the model that it runs; gallery_READS: the gallery needs result files, and is left out
STREAMED     ?= preprocess info postprocess pytorch pytorch_postprocess agreement
STREAM_MODEL ?= $(INFERRED)
stream_OUT   := stream.json
stream_CMD    = $(if $(gallery_READS),rm -f gallery.json gallery/[0-9]*_[0-9]*.png thumbnails/[0-9]*.jpg && )\
                $(PY) -m common.infer.stream --onnx $(STREAM_MODEL) $(if $(filter-out 1,$(BATCH)),--batch_size $(BATCH)) \
                --preprocess "$(PREPROCESS)" --postprocess "$(POSTPROCESS)" --output stream.json
stream_NEED  := $(filter-out $(foreach stage,infer $(STREAMED),$($(stage)_OUT)),$(infer_NEED) $(preprocess_NEED) $(postprocess_NEED))
STAGES       := $(filter-out $(STREAMED),$(STAGES:infer=stream))
REPORT_ARGS  := $(if $(filter --accuracy,$(REPORT_ARGS)),--accuracy accuracy.json) --run stream.json --run $(perf_OUT)
gallery_NEED := stream.json
ifneq ($(gallery_READS),)
gallery_CMD  :=
endif
