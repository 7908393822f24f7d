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

# Tensor by tensor, and the operators that must stay in float32. OTHER= is an engine, an ONNX file or msprobe's table.
.PHONY: layers keep
ifneq ($(filter-out 0,$(STREAM)),)
layers keep:
	$(call unstreamed,preprocessed)
else
layers: $(addprefix $(B)/,$(infer_NEED) $(preprocess_OUT)) ## where half precision strays, tensor by tensor; OTHER= an engine, .onnx or msprobe's .csv
	@cd $(B) && $(PY) -m common.precision.layers --onnx $(INFERRED) --other "$${OTHER-}" --base "$$HERE"
keep: $(addprefix $(B)/,$(infer_NEED) $(preprocess_OUT) $(pytorch_OUT) $(if $(METRIC),$(pytorch_postprocess_OUT))) ## the fewest operators that must stay in float32, as atc's --keep_dtype
	@cd $(B) && rm -rf keep && $(PY) -m common.precision.keep --onnx $(INFERRED) $(if $(METRIC),-- $(PY) ../$(call METRIC,keep/result,keep))
endif
