# What CANN publishes of a network's operators, held against the file that atc compiles (common.npu.limits; docs/CANN.md).
# `make lint` looks it up. `make cann` also runs the network as the chip may compute it, where a limit changes numbers, on
# the samples of the run and by its engine: infer's line in a folder of its own, with links to what that reads.
# `make aipp` writes aipp.cfg for a chip to do the last step of preprocessing, and runs the pixels through an emulation.
limits_NEED = $(or $(SWEEP_NEED),$(INFERRED))
limits      = $(PY) -m common.npu.limits $(INFERRED) --soc_version "$(or $(strip $(SOC_VERSION)),$(CHIP))"
# by the folder's own model, which goes when it has been run
by_own      = $(call apart,$(1)) && rm "$(1)/$(INFERRED)"
CANN_NEED   = $(addprefix $(B)/,$(limits_NEED) $(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(agreement_OUT))
.PHONY: lint cann aipp
lint: $(B)/$(limits_NEED) ## CANN's published limits held against the .onnx, each with its page (SOC_VERSION= picks the product)
	@cd $(B) && $(limits)
ifneq ($(filter-out 0,$(STREAM)),)
cann aipp:
	$(call unstreamed,result)
else
cann: $(CANN_NEED) ## the same, and what a limit that changes numbers costs in the metric
	@cd $(B) && rm -rf cann && names=$$($(limits) --rewrite cann) && for finding in $$names; do { $(call by_own,cann/$$finding); } || exit; done
	@cd $(B) && $(limits) --costs cann --output cann.json
ifneq ($(AIPP),)
aipp: $(CANN_NEED) ## build/aipp/run/aipp.cfg, which has the chip do the scaling of pixels, and the metric by its emulation
	@cd $(B) && rm -rf aipp && $(PY) -m common.npu.aipp $(AIPP) $(INFERRED) prep aipp/run
	@cd $(B) && $(call by_own,aipp/run)
	@cd $(B) && $(PY) -m common.npu.aipp --show $(AIPP) $(INFERRED) prep aipp/run
else
aipp:
	@echo "error: make aipp: the inputs of $(NAME) are no pixels that AIPP would scale; UNetPlusPlus and IntraDA have it" >&2; exit 1
endif
endif
