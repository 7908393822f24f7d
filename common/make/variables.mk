# What a user gives make, on its command line or in the environment, is text: taken as it stands, never evaluated, and
# checked before anything is made. A recipe sees free text, such as a path, as "$$NAME" from its environment alone.
define newline


endef
comma := ,
blank := $() $()
q      = '$(subst ','\'',$(1))'

# How long PyTorch's threads spin before they sleep: by default so long that, where other work takes one of two cores, a
# network runs a hundredth as fast. This is what libgomp takes itself where there are more threads than cores.
export GOMP_SPINCOUNT ?= 1000

# paths and names: any text of one line; numbers; numbers with commas or blanks between; words without quotes or blanks
TEXTS   := DATASETS_PATH PTH TORCH_INDEX ATC_FLAGS OM_RESULT GPU_RESULT UPSTREAM_URL DEST DATA_NAME PYTHON HOLDER PICTURE OTHER \
           KEEP CALIBRATION $(foreach name,$(ALL_MODELS) \
           $(NAME),$(name)_DATASETS_PATH $(name)_PTH)
NUMBERS := LIMIT BATCH SIZE PERF_SIZE ROUND LOOP SEED THREADS JOBS ACTORS COUNT CALIBRATION_COUNT
LISTS_  := DEVICES BATCHES SWEEP_THREADS
WORDS   := DEVICE PRECISION ATC_PRECISION OVERFLOW SUMS SOURCE STREAM INPUT REFLECT_PAD RES_SCALE SHAPE PHOTOS DIGIT SOC_VERSION SEEDED \
           ENGINES SWEEP_ENGINES MODELS MODEL FULL V B TORCH

# a value from the command line, or one of these from the environment, in place of what make would expand it to
GIVEN := $(foreach name,$(.VARIABLES),$(if $(or $(filter command%,$(firstword $(origin $(name)))),$(and $(filter \
    environment%,$(firstword $(origin $(name)))),$(filter $(name),$(TEXTS) $(NUMBERS) $(LISTS_) $(WORDS)))),$(name)))
GIVEN := $(filter-out MAKE% -% .% SHELL CURDIR,$(GIVEN))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
override B := $(or $(strip $(B)),build)

# A variable of the rules that the environment happens to have too is not taken from there.
RULES := $(filter-out $(TEXTS) $(NUMBERS) $(LISTS_) $(WORDS),NAME TOOL DATA IMAGES TRUTH ONNX PERF_ONNX WIDTH HEIGHT EXPORT \
         PREPROCESS INFO POSTPROCESS GALLERY TRAIN METRIC AGREEMENT ATC_SHAPE ATC_MORE AIPP DEMO DEMO_THEN SELFTEST SELFTEST_ARGS STAGES \
         WEIGHTS_STAGES FOUND READS RESULT OM SWEEP_MODEL SWEEP_NEED STREAMED STREAM_MODEL REPORT_ARGS SIMPLIFY DOCTOR TRY_ONNX TRY_EXPORT TRY_INPUT TRY_FLAGS \
         %_OUT %_CMD %_NEED %_READS)
$(foreach name,$(filter $(RULES),$(.VARIABLES)),$(if $(filter environment%,$(firstword $(origin $(name)))),$(eval undefine $(name))))

# $(call left,TEXT,CHARACTERS): what is left of the text without these
left     = $(if $(strip $(2)),$(call left,$(subst $(firstword $(2)),,$(1)),$(wordlist 2,99,$(2))),$(1))
DIGITS  := 0 1 2 3 4 5 6 7 8 9
LETTERS := a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
refuse   = $(error $(1)=$($(1)): expected $(2))
$(foreach name,$(GIVEN),$(if $(findstring $(newline),$($(name))),$(error $(name): its value holds a line break)))
# $(call apart,TEXT,CHARACTERS): the text with a blank behind each of these; a number of ten digits is a slip
apart  = $(if $(2),$(call apart,$(subst $(firstword $(2)),$(firstword $(2)) ,$(1)),$(wordlist 2,99,$(2))),$(1))
number = $(if $(or $(call left,$(2),$(DIGITS)),$(word 10,$(call apart,$(2),$(DIGITS)))),$(call refuse,$(1),a whole number of at \
         most nine digits),$(if $(filter SEED,$(1))$(call left,$(2),0),,$(call refuse,$(1),at least 1)))
$(foreach name,$(filter $(NUMBERS),$(GIVEN)),$(if $(strip $($(name))),$(call number,$(name),$(strip $($(name))))))
$(foreach name,$(filter $(LISTS_),$(GIVEN)),$(if $(strip $(call left,$(subst all,,$($(name))),$(comma) $(DIGITS))),$(call \
    refuse,$(name),whole numbers)))
$(foreach name,$(filter $(WORDS),$(GIVEN)),$(if $(strip $(call left,$($(name)),$(DIGITS) $(LETTERS) _ - . / = $(comma) +)),$(call \
    refuse,$(name),letters$(comma) digits and _-./=)))
one_of = $(if $(filter-out $(2),$($(1))),$(call refuse,$(1),$(subst $(blank), or ,$(2))))
$(call one_of,DEVICE,cpu cuda tensorrt cann openvino auto)
$(call one_of,PRECISION,f16 f32 bf16)
$(call one_of,OVERFLOW,saturate inf)
$(call one_of,SUMS,f32 f16)
$(call one_of,SOURCE,built-in upstream)
$(call one_of,TORCH,cpu)
$(call one_of,STREAM,1 ray 0)
$(call one_of,INPUT,onehot labels)
$(call one_of,REFLECT_PAD,pad slice)
$(call one_of,SHAPE,padded exact)
$(if $(filter build build_%,$(B)),$(if $(findstring /,$(B)),$(call refuse,B,build or build_NAME)),$(call refuse,B,build or build_NAME))

# of the collection's Makefile: a model's own dataset and checkpoint
ifneq ($(NAME),)
ifeq ($(origin DATASETS_PATH),undefined)
DATASETS_PATH := $($(NAME)_DATASETS_PATH)
endif
ifeq ($(origin PTH),undefined)
PTH := $($(NAME)_PTH)
endif
endif

# $(call nearest,NAME,KNOWN NAMES,MAKEFILES): "; did you mean X?", or nothing
nearest = $(shell PYTHONPATH=$(call q,$(PYTHONPATH)) $(call q,$(NOW)) -m common.make nearest $(call q,$(1)) $(call q,$(2)) $(3))

# recipes see them
export $(filter-out B MODELS,$(filter $(TEXTS) $(NUMBERS) $(LISTS_) $(WORDS),$(GIVEN)))

# a folder of a stranger's is not entered in place of ours
unexport CDPATH
