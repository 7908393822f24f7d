# What an NPU will make of the network, looked into before there is one (common.precision; docs/PRECISION.md).
export OVERFLOW SUMS

.PHONY: rehearse
rehearse: ## accuracy in half precision, rehearsed here (OVERFLOW=saturate|inf, SUMS=f32|f16): no NPU figure
	@$(MAKE) --no-print-directory compare ENGINES=cpu-f16 >/dev/null || [[ -s $(B)/compare.json ]]
	@cd $(B) && "$$PY" -m common.precision.rehearse
