# `make try PICTURE=...`: one's own pictures through the model, by the model's infer.py, into build/try. A model's Makefile
# may declare
#
#   TRY_EXPORT  the script and its arguments that export a model for it alone, build/$(TRY_ONNX), where export's does not fit
#   TRY_INPUT   what infer.py is given in place of PICTURE, in words; TRY_FLAGS: further flags
$(if $(and $(filter try,$(MAKECMDGOALS)),$(strip $(TRY_INPUT)),$(PICTURE)),$(call refuse,PICTURE,none: this model draws by itself))
TRY_ONNX       ?= $(export_OUT)
export_try_OUT := $(TRY_ONNX)
export_try_CMD  = mkdir -p try && $(PY) ../$(TRY_EXPORT)
ifneq ($(and $(filter try,$(MAKECMDGOALS)),$(TRY_EXPORT)),)
WEIGHTS_STAGES += export_try
ASKED          += export_try
$(eval $(call stage_rules,export_try))
endif

# A file is looked for where make was called from (make -C EDSR try PICTURE=photo.jpg), then here. PICTURE that is no file
# as a whole is several, with blanks between.
CALLER := $(PWD)
.PHONY: try
try: $(B)/$(TRY_ONNX) ## one's own pictures through the model, into build/try: PICTURE="FILE ...", or a folder (CGAN: DIGIT=7 SEED=3)
	@there() { if [[ $$1 != /* && -e $(call q,$(CALLER))/$$1 ]]; then echo $(call q,$(CALLER))/"$$1"; else echo "$$1"; fi; }; \
	given=($(TRY_INPUT)); whole="$${PICTURE:-}"; \
	if [[ $${#given[@]} == 0 && -n $$whole ]]; then \
	    if [[ -e $$(there "$$whole") ]]; then given=("$$(there "$$whole")"); \
	    else read -r -a each <<<"$$whole"; for one in "$${each[@]}"; do given+=("$$(there "$$one")"); done; fi; fi; \
	[[ $${#given[@]} != 0 ]] || { echo "error: make try needs a picture: PICTURE=FILE, several, or a folder" >&2; exit 1; }; \
	$(PY) infer.py --model $(B)/$(TRY_ONNX) --output $(B)/try $(TRY_FLAGS) -- "$${given[@]}"
