# A folder for ModelZoo, and what its reviewer would say of it.
#   make dist DEST=folder [HOLDER='who'] [FULL=1]   FULL=1: all of common, Makefile, demo and pages too
#   make submit [DEST=folder]                       without DEST: a lean folder in build/submit, made for it
as_held = $(if $(HOLDER),--holder "$$HOLDER")
.PHONY: dist submit
dist: | $(READY) ## a folder for ModelZoo that needs nothing outside itself: DEST=, HOLDER= (copyright), FULL=1 (all of it)
	@$(PY) -m common.dev.dist $(if $(filter-out 0,$(FULL)),--full) $(as_held) "$${DEST-}"
submit: | $(READY) ## what a ModelZoo reviewer would find in a folder (DEST=, else one made now), its table row and PR text
ifeq ($(strip $(DEST)),)
	@rm -rf $(B)/submit && mkdir -p $(B)
	@$(PY) -m common.dev.dist $(as_held) $(B)/submit
	@$(PY) -m common.dev.submit $(B)/submit --output $(B)
else
	@$(PY) -m common.dev.submit "$${DEST-}" --output $(B)
endif
