# What an NPU will make of the network, looked into before there is one (common.precision; docs/PRECISION.md). It is a
# column of `make compare`, so this file comes before compare.mk.
ifneq ($(filter rehearse int8,$(MAKECMDGOALS)),)
override ENGINES := $(filter-out cpu-f16,$(ENGINES)) cpu-f16
endif
.PHONY: rehearse
cost: ## parameters, multiply-accumulates, memory and arithmetic intensity of the model files, into build/cost.json
	@cd $(B) && $(PY) -m common.convert.cost $(sort $(export_OUT) $(PERF_ONNX).onnx)
rehearse: compare ## accuracy in half precision, rehearsed here (OVERFLOW=saturate|inf, SUMS=f32|f16): no NPU figure
	@cd $(B) && $(PY) -m common.precision.rehearse
