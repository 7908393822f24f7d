# `make om`: the .om files, where atc is; elsewhere `make -n om` prints its lines. The chip: SOC_VERSION=, else the one that
# npu-smi names. om_CMD gives atc's line for $(1), one of OM.
CHIP = $(shell command -v npu-smi >/dev/null && PYTHONPATH=$(call q,$(PYTHONPATH)) $(call q,$(NOW)) -m common.npu.chip 2>/dev/null)
ifneq ($(filter om om-%,$(MAKECMDGOALS)),)
SOC_VERSION := $(or $(strip $(SOC_VERSION)),$(CHIP))
endif
# What ATC_PRECISION= and ATC_FLAGS= put in place of atc's own flag for precision; a flag of a line that they have too goes.
om_FLAGS := --precision_mode=force_fp16
ifneq ($(and $(filter om om-%,$(MAKECMDGOALS)),$(strip $(ATC_PRECISION)$(value ATC_FLAGS))),)
om_FLAGS := $(shell PYTHONPATH=$(call q,$(PYTHONPATH)) ATC_FLAGS=$(call q,$(value ATC_FLAGS)) ATC_PRECISION=$(ATC_PRECISION) \
            $(call q,$(NOW)) -m common.npu.atc_flags || echo failed)
endif
unless_chosen = $(if $(findstring $(firstword $(subst =, ,$(1)))=,$(om_FLAGS)),,$(1))
SOC = $(or $(SOC_VERSION),"$${SOC_VERSION:?e.g. Ascend310P3}")
# what `make keep` has left: the operators that stay in float32, a flag that goes with force_fp16
KEPT := $(if $(findstring force_fp16,$(om_FLAGS)),$(if $(wildcard $(B)/keep_dtype.cfg), --keep_dtype=keep_dtype.cfg))
define om_stage
om-$(1)_OUT  := $(1).om
om-$(1)_CMD   = $$(call om_CMD,$(1))
om-$(1)_NEED := $(call om_NEED,$(1)) $(if $(KEPT),keep_dtype.cfg)
endef
$(foreach name,$(OM),$(eval $(call om_stage,$(name))))
$(foreach name,$(OM),$(eval $(call stage_rules,om-$(name))))
ASKED += $(if $(filter om om-%,$(MAKECMDGOALS)),$(OM:%=om-%))
ifneq ($(and $(KEPT),$(filter om om-%,$(MAKECMDGOALS))),)
ifneq ($(shell [ $(B)/keep_dtype.cfg -ot $(B)/$(INFERRED) ] && echo older),)
$(warning $(B)/keep_dtype.cfg is older than $(INFERRED): make keep again, or remove it)
endif
endif
ifeq ($(om_FLAGS),failed)
NO_OM := failed
endif
# before any work
ifneq ($(and $(filter om om-%,$(MAKECMDGOALS)),$(if $(DRY),,yes)),)
NO_OM := $(or $(NO_OM),$(shell command -v atc >/dev/null || { echo "error: no atc on PATH, so no .om: \`. ./env.sh\` finds CANN where it" \
    "is installed, \`make -n om\` prints atc's lines, \`make all\` runs the .onnx on ONNX Runtime" >&2; echo failed; }))
ifeq ($(NO_OM)$(SOC_VERSION),)
NO_OM := $(shell echo "error: npu-smi names no chip to compile for; give SOC_VERSION=Ascend310P3 (say)" >&2; echo failed)
endif
endif
.PHONY: om
om: $(OM:%=$(B)/%.om) ## the .om files, where atc is (make -n om: its lines); SOC_VERSION= names the chip, else npu-smi
