# make try PICTURE=...: one's own pictures through the model, by the model's infer.py, into build/try.
#
#   TRY_MODEL   the .onnx in build/ that it runs (default: export's)
#   export_try_OUT, _CMD, _NEED, _SRC  a stage that exports a model for it alone, where export's is of one size
#   TRY_INPUT   what infer.py is given in place of PICTURE, for a model that reads no picture
TRY_MODEL ?= $(or $(export_try_OUT),$(export_OUT))
ifneq ($(export_try_OUT),)
$(eval $(call stage_rules,export_try))
$(B)/$(export_try_OUT): $(WEIGHTS)
endif

# names of files are looked for where make was called from (make -C EDSR try PICTURE=photo.jpg), then here; one that is
# there as a whole may hold blanks
.PHONY: try
try: $(B)/$(TRY_MODEL) ## one's own pictures through the model, into build/try: PICTURE="FILE..." or a folder
	@here() { if [[ $$1 != /* && -e "$$PWD_OF_USER/$$1" ]]; then echo "$$PWD_OF_USER/$$1"; else echo "$$1"; fi; }; \
	export PWD_OF_USER="$(PWD)"; given=(); \
	if [[ -n '$(TRY_INPUT)' ]]; then given=($(TRY_INPUT)); \
	elif [[ -z "$(PICTURE)" ]]; then echo "error: make try needs a picture: PICTURE=FILE, several, or a folder" >&2; exit 1; \
	elif [[ -e "$$(here "$(PICTURE)")" ]]; then given=("$$(here "$(PICTURE)")"); \
	else for each in $(PICTURE); do given+=("$$(here "$$each")"); done; fi; \
	$(PY) infer.py --model $(B)/$(TRY_MODEL) --output $(B)/try $(TRY_FLAGS) -- "$${given[@]}"
