# `make sweep` and `make compare`: engines by their names, beside the one that DEVICE and PRECISION name. Whether this
# machine has one is asked each time; the file is empty, or says why not.
#
#   BATCHES      batch sizes of `make sweep`, those that SWEEP_MODEL takes: the .onnx file in build/ that it times;
#                SWEEP_NEED: the file that stands for it, where that is another
#   READS        what infer's line reads in build/, for other engines to read it too
ALL_ENGINES := cpu cuda tensorrt cann auto openvino-f32 openvino-bf16 cpu-f16
OWN_ENGINE  := $(DEVICE)$(addprefix -,$(or $(PRECISION),$(if $(filter openvino,$(DEVICE)),f32)))
unknown     := $(filter-out $(ALL_ENGINES) $(OWN_ENGINE),$(ENGINES) $(SWEEP_ENGINES))
$(if $(unknown),$(error no engine named $(unknown); there are $(ALL_ENGINES)))
by = DEVICE=$(firstword $(subst -, ,$(1))) PRECISION=$(word 2,$(subst -, ,$(1)))
$(ALL_ENGINES:%=$(B)/.args/engine-%): $(B)/.args/engine-%: FORCE | $(READY)
	@$(PY) -m common.engines.sessions $* 2>$@.new || :
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# A stage per batch size, number of threads and engine, then the table over them. Where an engine is not there, its stages
# leave the reason. $(1)-$(2)-$(3): batch, threads, engine.
SWEEP_NEED    ?= $(if $(filter simplify,$(STAGES)),simplify.json)
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
SWEPT += $(sweep_file)
SWEEPS += sweep-$(1)-$(2)-$(3)
endef
SWEPT  :=
SWEEPS :=
$(foreach engine,$(SWEEP_ENGINES),$(foreach threads,$(SWEEP_THREADS),$(foreach batch,$(BATCHES),\
    $(eval $(call sweep_stage,$(batch),$(threads),$(engine)))\
    $(eval $(call stage_rules,sweep-$(batch)-$(threads)-$(engine))))))
ASKED += $(if $(filter sweep,$(MAKECMDGOALS)),$(SWEEPS))
.PHONY: sweep
sweep: $(addprefix $(B)/,$(SWEPT)) ## throughput over BATCHES, SWEEP_THREADS="1 2", SWEEP_ENGINES="cpu openvino-bf16", the best named
	@cd $(B) && $(PY) -m common.judge.sweep --model .. --output sweep.json $(SWEPT)

# Results in folder $(2) held to PyTorch's and to the metric, into folder $(1); $(3): the agreement's further flags.
judged = { $(AGREEMENT) $(2) pytorch/result $(3) --output $(1)/agreement.json >/dev/null || [[ -s $(1)/agreement.json ]]; }$(if \
    $(METRIC), && $(PY) ../$(call METRIC,$(2),$(1)) >/dev/null)
# Infer's line in folder $(1), two levels down, with links to what it reads beside what is there, and judged; $(2): a command
# before it, by which engine, say.
apart = for each in $(READS); do [[ -e $(1)/$$each ]] || ln -s "../../$$each" "$(1)/$$each" || exit; done && \
    (cd "$(1)" && $(2)$(infer_CMD)) >"$(1)/log.txt" && $(call judged,$(1),$(1)/$(RESULT))
with  = export $(call by,$(1)) &&$(blank)

# A stage per engine.
define compare_stage
compare-$(1)_OUT  := compare/$(1)/compared
compare-$(1)_NEED := $(infer_NEED) $(pytorch_OUT) .args/engine-$(1)
compare-$(1)_CMD   = rm -rf compare/$(1) && mkdir -p compare/$(1) && \
    if [[ ! -s .args/engine-$(1) ]]; then $$(call apart,compare/$(1),$$(call with,$(1))); fi && touch compare/$(1)/compared
endef
$(foreach engine,$(ENGINES),$(eval $(call compare_stage,$(engine)))$(eval $(call stage_rules,compare-$(engine))))
ASKED += $(if $(filter compare rehearse int8,$(MAKECMDGOALS)),$(ENGINES:%=compare-%))

# One table, same samples: PyTorch, ONNX, ONNX by other ENGINES=, and what other backends left, OM_RESULT= and
# GPU_RESULT= their result folders.
another = mkdir -p compare/$(1) && ln -s "$$(cd .. && realpath -m "$$$(1)_RESULT")" compare/$(1)/results && \
          $(call judged,compare/$(1),compare/$(1)/results,--npu)
.PHONY: compare
ifneq ($(filter-out 0,$(STREAM)),)
compare:
	$(call unstreamed,result)
else
compare: $(addprefix $(B)/,$(infer_OUT) $(pytorch_OUT) $(postprocess_OUT) $(agreement_OUT) $(pytorch_postprocess_OUT))
compare: $(ENGINES:%=$(B)/compare/%/compared) ## one table: PyTorch, ONNX, ENGINES="cpu-f16 openvino-bf16", and the result folders OM_RESULT=, GPU_RESULT=
	@cd $(B) && rm -rf compare/OM compare/GPU
	@$(if $(OM_RESULT),cd $(B) && $(call another,OM),:)
	@$(if $(GPU_RESULT),cd $(B) && $(call another,GPU),:)
	@cd $(B) && $(PY) -m common.judge.compare --model .. --run $(infer_OUT) $(addprefix --engine ,$(ENGINES))
.PHONY: testcase
testcase: $(B)/report.json compare ## what ModelZoo's self-test asks of a run: agreement with PyTorch, and that each speed was measured
	@$(PY) -m common.npu.testcase $(B)
endif
