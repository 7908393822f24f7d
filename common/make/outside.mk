# `make om` runs atc as test/pth2om.sh does, with CANN's own Python in front and not the project's (common/npu/outside.sh).
# Included by a model's Makefile rules, after OM is set. private: what the .om are made from keeps its environment.
outside := $(dir $(lastword $(MAKEFILE_LIST)))../npu/outside.sh
$(OM:%=$(B)/%.om): private export PATH = $(shell bash "$(outside)" printenv PATH)
$(OM:%=$(B)/%.om): private export PYTHONPATH = $(shell bash "$(outside)" printenv PYTHONPATH)
