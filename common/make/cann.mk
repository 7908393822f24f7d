# What CANN publishes of a network's operators, held against the file that atc compiles (common.npu.limits; docs/CANN.md).
# `make lint` looks it up. `make cann` also runs the network as the chip may compute it, where a limit changes numbers, on
# the samples of the run and by its engine: infer's line in a folder of its own, with links to what that reads.
#
#   LIMITED      the .onnx file in build/; LIMITED_NEED: the file that stands for it
LIMITED      ?= $(if $(filter simplify,$(STAGES)),$(PERF_ONNX).onnx,$(export_OUT))
LIMITED_NEED ?= $(or $(SWEEP_NEED),$(LIMITED))
limits        = $(PY) -m common.npu.limits $(LIMITED) --soc_version "$(or $(strip $(SOC_VERSION)),$(CHIP))"
.PHONY: lint cann
lint: $(B)/$(LIMITED_NEED) ## CANN's published limits held against the .onnx, each with its page (SOC_VERSION= picks the product)
	@cd $(B) && $(limits)
ifneq ($(filter-out 0,$(STREAM)),)
cann:
	@echo "error: make cann needs the result files that STREAM=1 does not leave; run it without" >&2; exit 1
else
cann: $(addprefix $(B)/,$(LIMITED_NEED) $(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(agreement_OUT)) ## the same, and what a limit that changes numbers costs in the metric
	@cd $(B) && rm -rf cann && names=$$($(limits) --rewrite cann) && for each in $$names; do \
	    for file in $(READS); do [[ -e cann/$$each/$$file ]] || ln -s "../../$$file" "cann/$$each/$$file"; done; \
	    (cd "cann/$$each" && $(infer_CMD)) >"cann/$$each/log.txt"; rm "cann/$$each/$(LIMITED)"; \
	    $(AGREEMENT) "cann/$$each/$(RESULT)" pytorch/result --output "cann/$$each/agreement.json" >/dev/null || \
	        [[ -s cann/$$each/agreement.json ]]; \
	    $(if $(METRIC),$(PY) ../$(call METRIC,cann/$$each/$(RESULT),cann/$$each) >/dev/null;) done
	@cd $(B) && $(limits) --costs cann --output cann.json
endif
