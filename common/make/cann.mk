# What CANN publishes of a network's operators, held against the file that atc compiles (common.npu.limits; docs/CANN.md).
# `make lint` looks it up. `make cann` also runs the network as the chip may compute it, where a limit changes numbers, on
# the samples of the run and by its engine: infer's line in a folder of its own, with links to what that reads.
# `make aipp` writes aipp.cfg for a chip to do the last step of preprocessing, and runs the pixels through an emulation.
#
#   LIMITED      the .onnx file in build/; LIMITED_NEED: the file that stands for it
LIMITED      ?= $(INFERRED)
LIMITED_NEED ?= $(or $(SWEEP_NEED),$(LIMITED))
limits        = $(PY) -m common.npu.limits $(LIMITED) --soc_version "$(or $(strip $(SOC_VERSION)),$(CHIP))"
# what infer's line gives in folder $(1), two levels down, by its own model there: results, agreement, accuracy
CANN_RUN = for file in $(READS); do [[ -e $(1)/$$file ]] || ln -s "../../$$file" "$(1)/$$file"; done; \
    (cd "$(1)" && $(infer_CMD)) >"$(1)/log.txt"; rm "$(1)/$(LIMITED)"; \
    $(AGREEMENT) "$(1)/$(RESULT)" pytorch/result --output "$(1)/agreement.json" >/dev/null || [[ -s $(1)/agreement.json ]]; \
    $(if $(METRIC),$(PY) ../$(call METRIC,$(1)/$(RESULT),$(1)) >/dev/null;)
CANN_NEED = $(addprefix $(B)/,$(LIMITED_NEED) $(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(agreement_OUT))
.PHONY: lint cann aipp
lint: $(B)/$(LIMITED_NEED) ## CANN's published limits held against the .onnx, each with its page (SOC_VERSION= picks the product)
	@cd $(B) && $(limits)
ifneq ($(filter-out 0,$(STREAM)),)
cann aipp:
	@echo "error: make $@ needs the result files that STREAM=1 does not leave; run it without" >&2; exit 1
else
cann: $(CANN_NEED) ## the same, and what a limit that changes numbers costs in the metric
	@cd $(B) && rm -rf cann && names=$$($(limits) --rewrite cann) && for each in $$names; do $(call CANN_RUN,cann/$$each) done
	@cd $(B) && $(limits) --costs cann --output cann.json
ifneq ($(AIPP),)
aipp: $(CANN_NEED) ## build/aipp/run/aipp.cfg, which has the chip do the scaling of pixels, and the metric by its emulation
	@cd $(B) && rm -rf aipp && $(PY) -m common.npu.aipp $(AIPP) $(LIMITED) prep aipp/run
	@cd $(B) && $(call CANN_RUN,aipp/run)
	@cd $(B) && $(PY) -m common.npu.aipp --show $(AIPP) $(LIMITED) prep aipp/run
else
aipp:
	@echo "error: make aipp: the inputs of $(NAME) are no pixels that AIPP would scale; UNetPlusPlus and IntraDA have it" >&2; exit 1
endif
endif
